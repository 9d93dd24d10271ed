// RunLock: tells whether any process of the runs at a path lives, of the serving run or of a joined
// one, also when their supervisors have ended.
//
// A killed server leaves processes that still have its segments, and no registry knows of them. A
// second server would find no segment, where natively shm_nattch would show the use: the interlock
// of a data directory would fail (README.md: Joined runs). So each run holds a shared lock
// (flock(2)) on the file PATH.lock, and its command inherits that descriptor: the lock ends with
// the last of these processes. The file stays, since another run may lock it at the moment of its
// removal.
//
// A file that neither root nor this user has made, nor whose folder it is in, is not used: in /tmp
// anybody may make one, and remove it or keep it locked.
//
// A lock file that root makes in the folder of another user is given to that user, who may serve
// there later: a mistaken start by root shuts nobody out.
//
// A process that closes the descriptor is not seen. A process that unlocks it hides all processes
// of its own command, since these share one open file description. Processes of another user, who
// may not open the file (mode 0600), are not seen either. Such a user may join, and not serve.
//
// Ownership: the descriptor. Thread rule: the main thread.
#pragma once

#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class RunLock {
 public:
  /// Opens the file without locking it. Errors: those of open(2); EINVAL where it is no regular
  /// file; EPERM where it is a stranger's, or another user's that we may not open.
  static Result<RunLock> at(const std::string& socket_path);

  /// Takes the lock exclusively. False where another process holds it.
  [[nodiscard]] bool try_alone() const;
  /// Takes the lock shared. False where another process holds it exclusively.
  [[nodiscard]] bool share() const;
  void drop() const;
  /// Processes that are forked from now on inherit the lock.
  void bequeath() const;

 private:
  explicit RunLock(UniqueFd file) : file_(std::move(file)) {}

  UniqueFd file_;
};

}  // namespace shmvisor
