#include "supervisor/inject/attach_to_caller.h"

#include <chrono>
#include <thread>

#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/kick_timer.h"

namespace shmvisor {
namespace {

constexpr int kMostTries = 2000;
constexpr std::chrono::milliseconds kBetweenTries(1);
/// A tracer of ours may be gone before we look whether there is one, and another be there before we
/// try again.
constexpr int kEnoughRefusals = 8;
constexpr std::chrono::microseconds kBetweenRefusals(200);
/// After so long somebody else's tracer has the caller for itself.
constexpr std::chrono::milliseconds kTracersTurn(20);

Result<AttachedThread> attach_within(std::chrono::milliseconds bound, pid_t tid) {
  return with_identity_of(tid, kToTrace,
                          [bound, tid] { return AttachedThread::attach(tid, bound); });
}

/// Where an execve(2) is in the way another thread receives meanwhile.
Result<AttachedThread> attach(pid_t tid, ExpectedCalls& expected) {
  auto attached = attach_within(KickTimer::kSoon, tid);
  if (attached || attached.error() != Errno(EAGAIN)) return attached;
  expected.let_another_receive();
  return attach_within(AttachedThread::kPatience, tid);
}

/// Waits for a tracer of somebody else's to leave, for a moment; after that the call may come
/// again. False where that tracer is not waited for.
bool wait_for_tracer(pid_t tracer, PendingCall& call, ExpectedCalls& expected,
                     const TracerWait& wait) {
  if (wait.patience == nullptr) return false;
  const auto turn = wait.patience->begin(call.tid(), tracer, wait.user);
  if (!turn) return false;
  expected.let_another_receive();
  const auto until = std::chrono::steady_clock::now() + kTracersTurn;
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kBetweenTries);
    if (tracer_of(call.tid()).tid != tracer) return true;
  }
  if (nudge_traced(call.tid())) call.let_come_again();
  return true;
}

/// Gives up a thread that is not the caller: the caller's tid may have gone to a thread that execs.
/// Where the call still waits after we attached, the thread is the caller.
bool is_caller(AttachedThread& attached, PendingCall& call) {
  if (call.alive()) return true;
  attached.abandon();
  return false;
}

}  // namespace

Result<AttachedThread> attach_to_caller(PendingCall& call, ExpectedCalls& expected,
                                        const TracerWait& wait, std::optional<CpuPin>& pin) {
  int unexplained = 0;
  int foreign = 0;
  for (int tries = 0;; ++tries) {
    pin.emplace();
    auto attached = attach(call.tid(), expected);
    if (attached) {
      if (is_caller(*attached, call)) return attached;
      return Errno(ESRCH);
    }
    if (attached.error() == Errno(EAGAIN) && call.alive()) return Errno(EAGAIN);
    if (is_shortage(attached.error())) return Errno(ENOMEM);
    if (attached.error() != Errno(EPERM) || !call.alive()) return Errno(ESRCH);  // a dying thread
    const auto tracer = tracer_of(call.tid());
    if (tracer.is_ours) {
      // A call that comes again may find the thread that served it before not quite done yet.
      if (tries >= kMostTries) return Errno(EACCES);
      if (tries * kBetweenTries >= KickTimer::kSoon) expected.let_another_receive();
      std::this_thread::sleep_for(kBetweenTries);
    } else if (tracer.tid == 0) {
      if (++unexplained == kEnoughRefusals) return Errno(EACCES);
      if (unexplained > 1) std::this_thread::sleep_for(kBetweenRefusals);
    } else if (++foreign < kEnoughRefusals) {
      std::this_thread::sleep_for(kBetweenRefusals);
    } else {
      pin.reset();
      if (!wait_for_tracer(tracer.tid, call, expected, wait)) return Errno(EACCES);
      if (call.comes_again()) return Errno(ESRCH);
      unexplained = 0;
    }
  }
}

Result<StoppedThread> let_through_and_hold(PendingCall& call) {
  auto attached = AttachedThread::attach(call.tid());
  const bool is_its = attached && is_caller(*attached, call);
  const auto asked = is_its ? attached->interrupt() : Result<void>(Errno(ESRCH));
  call.let_through();
  if (!asked) return asked.error();
  return std::move(*attached).wait_until_stopped();
}

}  // namespace shmvisor
