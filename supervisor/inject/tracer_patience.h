// TracerPatience: how long callers wait for somebody else's tracer to leave, and how many may wait
// at a time.
//
// A thread has one tracer. That somebody runs `strace -p` for a second is no reason for a call to
// fail: strace detaches again. But no tracer can detach a caller that waits for our answer, because
// only a stopped thread can be detached. So the caller makes its call again every few milliseconds,
// in between which the tracer has the caller, until the caller's time is over. Only so many callers
// wait at a time, and fewer of one user, so that callers of others find places; a tracer that did
// not detach in time is not waited for again.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "policy/base/mutex.h"

namespace shmvisor {

class TracerPatience {
 public:
  static constexpr std::chrono::milliseconds kDefault{2000};
  static constexpr int kMostWaiting = 64;
  static constexpr int kMostOfUser = 16;

  explicit TracerPatience(std::chrono::milliseconds bound) : bound_(bound) {}

  /// One caller's place among those that wait. The turn ends with this object.
  class Turn {
   public:
    Turn(TracerPatience& patience, uid_t user) : patience_(&patience), user_(user) {}
    Turn(Turn&& other) noexcept
        : patience_(std::exchange(other.patience_, nullptr)), user_(other.user_) {}
    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    TracerPatience* patience_;
    uid_t user_;
  };
  /// `user`: accountable for the caller. Nothing where the caller is not to wait for that tracer,
  /// or no longer.
  std::optional<Turn> begin(pid_t caller, pid_t tracer, uid_t user);

 private:
  using Clock = std::chrono::steady_clock;
  struct Caller {
    Clock::time_point deadline;
    Clock::time_point last;  ///< when it last began a turn
  };

  const std::chrono::milliseconds bound_;
  Mutex mutex_;
  std::map<pid_t, Caller> callers_ GUARDED_BY(mutex_);
  int waiting_ GUARDED_BY(mutex_) = 0;
  std::map<uid_t, int> waiting_of_ GUARDED_BY(mutex_);  ///< each user that has any
  pid_t stays_ GUARDED_BY(mutex_) = 0;  ///< the last tracer that did not detach in time
};

/// How a caller waits.
struct TracerWait {
  TracerPatience* patience = nullptr;  ///< null: not at all
  uid_t user = 0;                      ///< accountable for it
};

struct Tracer {
  pid_t tid = 0;         ///< 0 where nobody traces
  bool is_ours = false;  ///< a thread of this process, which will soon let go
};
Tracer tracer_of(pid_t tid);

/// Sends a traced thread that waits in a call of ours a signal that nobody but its tracer sees, so
/// that the kernel looks at the order to make the call again. False where it cannot be sent.
[[nodiscard]] bool nudge_traced(pid_t tid);

}  // namespace shmvisor
