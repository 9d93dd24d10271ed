#include "supervisor/inject/caller_hold.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

#include "supervisor/inject/attach_to_caller.h"
#include "supervisor/procfs/process_stat.h"

namespace shmvisor {
namespace {

/// ERESTARTSYS of include/linux/errno.h: seen by tracers only. The kernel repeats the call, or
/// makes EINTR of it, when it lets the thread go.
constexpr std::int64_t kRepeatOrder = -512;
constexpr int kEnoughLooks = 8;

}  // namespace

Result<void> CallerHold::hold() {
  if (held()) return {};
  if (notification_used_up_) return Errno(ESRCH);
  const auto taken = waits_killably() ? take_from_notification({}) : take_over();
  if (!taken) return reported(taken.error());
  return {};
}

Result<int> CallerHold::hold_and_lend(const LentDescriptor& lent, LendingOrder order,
                                      const WhileItWaits& while_it_waits) {
  const bool killably = waits_killably();
  if (!held() && killably && order == LendingOrder::kLendFirst) {
    if (notification_used_up_) return Errno(ESRCH);
    Result<int> number = Errno(ENOMEM);
    const auto taken = take_from_notification([&](std::uint64_t id) {
      while_it_waits(id);
      number = lent.lend(call_.listener(), id, call_.tid());
    });
    if (!taken) return reported(taken.error());
    if (!number && number.error() != Errno(EMFILE)) return Errno(ENOMEM);
    return number;
  }
  if (const auto taken = hold(); !taken) return taken.error();
  return RepeatedCall(call_, thread(), expected_).lend(lent, killably ? while_it_waits : nullptr);
}

Result<AttachedThread> CallerHold::attach_and_interrupt() {
  expected_.let_another_receive_waiting();
  auto attached = attach_to_caller(call_, expected_, tracer_wait_, pin_);
  if (!attached) return attached;
  if (const auto asked = attached->interrupt(); !asked) return asked.error();
  return attached;
}

Result<void> CallerHold::take_from_notification(const WhileItWaits& while_it_waits) {
  auto attached = attach_and_interrupt();
  if (!attached) return attached.error();
  if (while_it_waits) while_it_waits(call_.id());
  if (!send_out_of_notification()) return Errno(ESRCH);
  auto thread = stopped(std::move(*attached));
  if (!thread) return thread.error();
  thread->is_leaving(call_.data(), kCallAgain);
  keep(std::move(*thread));
  return {};
}

Result<void> CallerHold::take_over() {
  auto attached = attach_and_interrupt();
  if (!attached) return attached.error();
  if (call_.listener().wait_kind() == WaitKind::kUnknown) observe_wait();
  // Whatever was seen of the filter: what one caller shows of its wait it may have made up, and a
  // caller that signals do not end would wait for ever.
  const bool answered = send_out_of_notification();
  auto thread = stopped(std::move(*attached));
  if (!thread) return thread.error();
  // Where it cannot be seen whose order it follows, a notification that was there to be answered
  // tells. A thread that is about to make the very call anew, after a handler of its own, passes
  // for the caller there; the answer is as good for that.
  thread->is_leaving(call_.data(), answered ? kCallAgain : kRepeatOrder);
  if (!thread->is_in(call_.data())) return Errno(ESRCH);
  const std::int64_t found = thread->found_result(call_.raw().abi);
  if (found == kRepeatOrder) {
    call_.listener().learn(WaitKind::kInterruptible);
  } else if (!answered || found != kCallAgain) {
    return Errno(ESRCH);
  }
  keep(std::move(*thread));
  return {};
}

void CallerHold::observe_wait() {
  // In the state that signals do not end a task shows as 'D' ever after we interrupted it. A task
  // that was woken shows so only for as long as it waits for the lock of the notification, which
  // asking for the notification takes and gives back.
  for (int looks = 0; looks < kEnoughLooks; ++looks) {
    const auto stat = ProcessStat::read(call_.tid());
    if (!stat || stat->state != 'D' || !call_.alive()) return;
  }
  call_.listener().learn(WaitKind::kKillable);
}

void CallerHold::secure_answer() {
  tracer_wait_.patience = nullptr;
  if (!held() && !waits_killably() && !notification_used_up_ && take_over()) mark();
}

void CallerHold::mark() {
  CallSlots* const slots = call_.listener().slots();
  const auto mark = slots == nullptr ? std::nullopt : slots->mark(call_.id());
  // It fails where the caller has died.
  if (mark) (void)thread().mark_call(call_.raw().abi, *mark, kCallAgain);
}

bool CallerHold::send_out_of_notification() {
  notification_used_up_ = true;
  return call_.listener().send_back(call_.id()).ok();
}

Result<StoppedThread> CallerHold::stopped(AttachedThread attached) {
  return std::move(attached).wait_until_stopped([this] { expected_.let_another_receive(); });
}

void CallerHold::keep(StoppedThread thread) {
  caller_ = std::make_shared<HeldCaller>(std::move(thread));
  call_.reroute(caller_);
}

Errno CallerHold::reported(Errno error) {
  if (error == Errno(EACCES)) {
    is_out_of_reach_ = true;
    access_warnings_.warn_of(call_.tid());
  }
  if (error == Errno(EAGAIN)) {
    static std::atomic_flag told;
    if (!told.test_and_set()) {
      spdlog::warn(
          "thread {} cannot be stopped: an execve(2) of its process, or a freezer, keeps it",
          call_.tid());
    }
  }
  return error;
}

}  // namespace shmvisor
