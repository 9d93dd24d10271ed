// run_kept: a run with a keeper. This process becomes the keeper: the command's parent, which
// passes on signals, reaps, and has the exit status. The calls are served by a clone of it, the
// server, which shares its descriptors. A server that dies is followed by another one, which goes
// on with what the dead one had open and what lies in memory that all share.
//
// A server that ends because the run is over says so in the KeeperPage; any other end is a death.
// At RunOptions::keeper_deaths deaths within a minute the run ends as one without a keeper does
// when it is killed.
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/launch/launched.h"
#include "supervisor/launch/serving_run.h"

namespace shmvisor {

/// Names of what it keeps (KeptStore).
namespace kept_run {
inline constexpr const char* kCommand = "command";
inline constexpr const char* kCommandName = "command name";
inline constexpr const char* kListener = "listener";
inline constexpr const char* kWaitKind = "wait kind";
inline constexpr const char* kConnection = "files";
inline constexpr const char* kIpcNamespace = "IPC namespace";
inline constexpr const char* kControlSocket = "control socket";
inline constexpr const char* kJoinSocket = "join socket";
inline constexpr const char* kName = "name";
inline constexpr const char* kOwnGroup = "own group";
inline constexpr const char* kSignalGroup = "signal group";
inline constexpr const char* kParentPid = "pid of the parent";  ///< that is watched
inline constexpr const char* kParent = "parent";
}  // namespace kept_run

/// Precondition: launched.kept. `socket`: where others may join. Answers the run's exit status.
int run_kept(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             ServingRun::Groundwork groundwork);

}  // namespace shmvisor
