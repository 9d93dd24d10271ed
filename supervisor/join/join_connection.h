// JoinConnection: the joining side: finds a server, and hands the command's listener to it.
//
// The server gets the power to answer the command's calls. So it must run as root or as this
// process's user; other servers are refused. It has ten seconds for each step.
// A step that the server ended without an answer is tried again for five seconds.
//
// Errors come as a sentence for the user (Trouble). Ownership: the connection; the server gets
// copies of the descriptors. Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/procfiles/proc_mount_failure.h"

namespace shmvisor {

/// Where a server is to be.
struct JoinPlace {
  std::string path;
  std::string given = {};  ///< in the operator's words, as "name:db"; empty: the path

  [[nodiscard]] const std::string& words() const { return given.empty() ? path : given; }
};

class JoinConnection {
 public:
  struct Trouble {
    std::string text;
    bool nobody_serves = false;  ///< at that path
  };
  static Result<JoinConnection, Trouble> to(const JoinPlace& place);

  /// The server's part of an accepted request.
  struct Accepted {
    UniqueFd mount;            ///< of the files in /proc
    ProcMountFailure missing;  ///< why there is none that was wanted
  };
  /// Hands the listener over. `user_namespace`: the command's, an open file of /proc/PID/ns/user;
  /// invalid where it wants no files in /proc. Trouble where the server refuses.
  ///
  /// While the command was prepared, the server may have closed the connection to make room for
  /// other visitors (JoinedCommands). So a closed connection is made anew.
  Result<Accepted, Trouble> hand_over(const UniqueFd& listener, const UniqueFd& user_namespace,
                                      std::chrono::milliseconds tracer_wait);

  /// Readable when the server has something to say, or has ended.
  [[nodiscard]] int fd() const { return fd_.get(); }
  enum class Heard : std::uint8_t {
    kFarewell,  ///< it has served the last process
    kAnswer,    ///< once more: a server died when it had given it, and the next one gives it again
    kEnd,
  };
  /// Precondition: fd() is readable.
  [[nodiscard]] Heard hear() const;
  [[nodiscard]] const std::string& path() const { return place_.path; }

 private:
  JoinConnection(UniqueFd fd, JoinPlace place) : fd_(std::move(fd)), place_(std::move(place)) {}

  /// `ended`: the process that accepted the connection closed it without a word.
  static Result<JoinConnection, Trouble> to(const JoinPlace& place, bool& ended);
  /// Why not, otherwise.
  Result<void, Trouble> connect_again();

  UniqueFd fd_;
  JoinPlace place_;
};

}  // namespace shmvisor
