// RaisedLimit: a process whose descriptor table is full may have more descriptors for a moment.
//
// Up to its hard limit, which is the process's own to do. Only a process of one thread, which is
// held: other threads would open files and make children with the raised limit, and their own
// change of it would be undone.
//
// The thread dies with us meanwhile (StoppedThread::die_with_us()), so no process keeps the limit.
// Another process's change of the limit in the meantime stays.
//
// Errors: EPERM where it cannot be raised. Thread rule: the thread that holds the caller.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

class RaisedLimit {
 public:
  static Result<RaisedLimit> of(StoppedThread& held);
  /// The limit of a process of our making, that is to be killed: as far as we may. False where it
  /// stays.
  static bool raise_for_good(pid_t pid);

  RaisedLimit(RaisedLimit&& other) noexcept
      : process_(std::exchange(other.process_, 0)), before_(other.before_), now_(other.now_) {}
  RaisedLimit& operator=(RaisedLimit&&) = delete;
  RaisedLimit(const RaisedLimit&) = delete;
  RaisedLimit& operator=(const RaisedLimit&) = delete;
  ~RaisedLimit();

 private:
  RaisedLimit(pid_t process, const rlimit& before, const rlimit& now)
      : process_(process), before_(before), now_(now) {}

  pid_t process_;  ///< 0: moved from
  rlimit before_;
  rlimit now_;
};

}  // namespace shmvisor
