// AttachedThread: a thread that the calling thread traces and that has not stopped for it yet.
//
// The thread takes no signal without stopping for us first. We attach to a thread while it is
// blocked in the kernel; the thread stops on its way out, and becomes a StoppedThread. Before that
// it cannot be detached: a caller that gives it up answers its call first, so that it can stop. The
// destructor waits for two seconds at most, and then abandons the thread (Tracee::abandon()).
//
// Thread rule: all members on the thread that attached.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/tracee.h"

namespace shmvisor {

class AttachedThread {
 public:
  /// With an execve(2) that the thread's process is in.
  static constexpr std::chrono::milliseconds kPatience{1000};

  /// Errors: EPERM where we may not, or somebody else traces it. ESRCH where it is gone. EAGAIN
  /// where its process is in an execve(2) that does not end within `bound`.
  /// `options`: PTRACE_O_*; those of a thread that is to become a StoppedThread are the default.
  static Result<AttachedThread> attach(pid_t tid, std::chrono::milliseconds bound = kPatience,
                                       std::uint64_t options = StoppedThread::kOptions);
  /// A task that a tracee of this thread made, and which the kernel attached and is about to stop.
  static AttachedThread adopt(pid_t tid, Tracee::Waits waits = Tracee::Waits::kUnlimited) {
    return AttachedThread(Tracee::adopt(tid, StoppedThread::kOptions, waits));
  }

  AttachedThread(AttachedThread&&) noexcept = default;
  AttachedThread& operator=(AttachedThread&&) = delete;
  AttachedThread(const AttachedThread&) = delete;
  AttachedThread& operator=(const AttachedThread&) = delete;
  ~AttachedThread() { let_go(); }

  [[nodiscard]] pid_t tid() const { return tracee_.tid(); }
  /// Asks it to stop, which ends a wait of its that signals can end.
  Result<void> interrupt() { return tracee_.interrupt(); }
  [[nodiscard]] bool has_news() const { return tracee_.has_news(); }
  /// Waits until it has stopped. To be called once its way out is free. EAGAIN where it does not
  /// stop in two seconds: it is abandoned. ESRCH where it is gone. `before_long_wait`: see
  /// tracee_news.h.
  Result<StoppedThread> wait_until_stopped(const std::function<void()>& before_long_wait = {}) &&;
  /// Gives up a thread that turned out to be another one than meant, before interrupt(). It may
  /// itself wait for an answer of ours, and so not be able to stop. Does nothing once it was let
  /// go.
  void abandon() { tracee_.abandon(); }
  /// Lets it go once it stops.
  void let_go();

 private:
  explicit AttachedThread(Tracee tracee) : tracee_(std::move(tracee)) {}

  Tracee tracee_;
};

}  // namespace shmvisor
