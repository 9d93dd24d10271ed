// SideClient: a client of this run's control (supervisor/client) that the run itself starts, as
// `run --trace` does: another process of the same program.
//
// So a slow terminal, a full disk or a closed pipe concern that process alone. It is in a session
// of its own, where no signal of the terminal reaches it, and ends when its connection does. Where
// what it writes to takes nothing, it would stay for ever: wait_for_end() kills it then, and the
// kernel does, by PR_SET_PDEATHSIG of the client, where the run is killed.
//
// Errors: those of socketpair(2), pidfd_open(2) and posix_spawn(3). Ownership: owns the connection
// until it is taken. Thread rule: the main thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class SideClient {
 public:
  /// `words`: of the command line, behind the program's name.
  static Result<SideClient> start(std::vector<std::string> words);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once it has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] UniqueFd take_connection() { return std::move(connection_); }
  /// Waits until the client has ended, for `bound` at most, and kills one that has not. False for
  /// such a one. Precondition: its connection is closed.
  [[nodiscard]] bool wait_for_end(std::chrono::milliseconds bound) const;

 private:
  SideClient(pid_t pid, UniqueFd pidfd, UniqueFd connection)
      : pid_(pid), pidfd_(std::move(pidfd)), connection_(std::move(connection)) {}

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd connection_;
};

}  // namespace shmvisor
