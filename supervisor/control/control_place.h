// ControlPlace: where control sockets are, and what a run may be called.
//
// A socket's file is NAME.control, or PID.control for a run without a name, in a folder that its
// user alone may enter: $XDG_RUNTIME_DIR/shmvisor, or where that is not set /run/user/UID/shmvisor.
// For root it is /run/shmvisor, also where a login has set XDG_RUNTIME_DIR to /run/user/0.
//
// Thread rule: the environment must not change meanwhile.
#pragma once

#include <string>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/control/control_options.h"

namespace shmvisor::control {

/// One sentence for the operator.
struct Trouble {
  std::string text;
};

/// Most bytes of a run's name.
inline constexpr std::size_t kLongestName = 64;

/// What is wrong with the name of a run; empty where nothing is. A name begins with a letter, so
/// that none is taken for a pid.
[[nodiscard]] std::string check_name(const std::string& name);

/// Where the socket that the options ask for shall be. Makes the folder of the default place; a
/// sentence where that cannot be had, or is not its user's alone.
[[nodiscard]] Result<std::string, Trouble> place_for(const ControlOptions& options);

/// Where runs join: `text`, a path; or with "name:NAME" the socket of that name in the folder of
/// the default place, which is made. `./name:NAME` is a file.
[[nodiscard]] Result<std::string, Trouble> join_place(const std::string& text);
/// The same without making a folder; the text as it is where there is no such place.
[[nodiscard]] std::string join_place_as_is(const std::string& text);

/// All socket files where runs of this user are by default; of some nobody may be listening any
/// more.
[[nodiscard]] std::vector<std::string> known_sockets();

}  // namespace shmvisor::control
