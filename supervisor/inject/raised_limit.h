// RaisedLimit: a process whose descriptor table is full may have more descriptors for a moment.
//
// Up to its hard limit, which is the process's own to do: what another thread opens or forks
// meanwhile it could have had anyway. Never beyond that, since a child would inherit it.
//
// The thread dies with us meanwhile (StoppedThread::die_with_us()), so no process keeps the limit.
// Somebody else's change of the limit in the meantime stays. Several of one process are one: the
// last gives the limit back.
//
// Errors: EPERM where it cannot be raised. Thread rule: the thread that holds the caller.
#pragma once

#include <sys/types.h>

#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

class RaisedLimit {
 public:
  static Result<RaisedLimit> of(StoppedThread& held);
  /// The limit of a process of our making, that is to be killed: as far as we may. False where that
  /// makes no room.
  static bool raise_for_good(pid_t pid);

  RaisedLimit(RaisedLimit&& other) noexcept : process_(std::exchange(other.process_, 0)) {}
  RaisedLimit& operator=(RaisedLimit&&) = delete;
  RaisedLimit(const RaisedLimit&) = delete;
  RaisedLimit& operator=(const RaisedLimit&) = delete;
  ~RaisedLimit();

 private:
  explicit RaisedLimit(pid_t process) : process_(process) {}

  pid_t process_;  ///< 0: moved from
};

}  // namespace shmvisor
