// RunLock: tells whether any process of the runs at a path lives, the server's and those of who
// joined it, whoever of their supervisors has ended.
//
// A killed server leaves processes that still have its segments, and no registry knows of them. A
// second server would find nothing, where natively shm_nattch would tell: the interlock of a data
// directory is lost (README.md: Joined runs). So each run has the file PATH.lock open, shared
// and locked (flock(2)), and each command inherits that descriptor: the lock is gone when all of
// them have ended. The file stays, because who removes it takes it from under another's lock.
//
// A process that closes what it does not know is not seen. One that unlocks it hides all processes
// of its own command, which have one open file; those of other runs have others. Nor is a process
// of another user seen, who may not open the file (mode 0600). Such a user may join, and not serve.
//
// Ownership: the descriptor. Thread rule: the main thread.
#pragma once

#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class RunLock {
 public:
  /// Not locked yet. Errors: open(2)'s; EINVAL where it is no regular file.
  static Result<RunLock> at(const std::string& socket_path);

  /// Alone, or not at all: false where somebody has it.
  [[nodiscard]] bool try_alone() const;
  /// With all others who share it, from now on. False where somebody has it alone.
  [[nodiscard]] bool share() const;
  void drop() const;
  /// The command's processes have it too from now on: those that are forked later.
  void bequeath() const;

 private:
  explicit RunLock(UniqueFd file) : file_(std::move(file)) {}

  UniqueFd file_;
};

}  // namespace shmvisor
