#include "supervisor/inject/attached_thread.h"

namespace shmvisor {

Result<AttachedThread> AttachedThread::attach(pid_t tid, std::chrono::milliseconds bound,
                                              std::uint64_t options) {
  auto seized = Tracee::seize(tid, options, bound);
  if (!seized) return seized.error();
  return AttachedThread(std::move(*seized));
}

void AttachedThread::let_go() {
  if (!tracee_.attached()) return;
  switch (tracee_.wait(Tracee::Wait::kBounded)) {
    case Tracee::Stop::kGone:
      (void)tracee_.end();
      return;
    case Tracee::Stop::kTimeout:
      tracee_.abandon();
      return;
    default:
      (void)tracee_.detach();
  }
}

Result<StoppedThread> AttachedThread::wait_until_stopped(
    const std::function<void()>& before_long_wait) && {
  // A thread on its way out stops for us before it takes any signal (get_signal() of
  // kernel/signal.c), so that the instruction pointer is still behind the call.
  // One in a frozen cgroup (v1) does not come there.
  switch (tracee_.wait(Tracee::Wait::kBounded, before_long_wait)) {
    case Tracee::Stop::kGone:
      (void)tracee_.end();
      return Errno(ESRCH);
    case Tracee::Stop::kTimeout:
      tracee_.abandon();
      return Errno(EAGAIN);
    default:
      return StoppedThread::take(std::move(tracee_));
  }
}

}  // namespace shmvisor
