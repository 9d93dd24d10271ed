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
/// Somebody else's tracer has it for itself after so long.
constexpr std::chrono::milliseconds kTracersTurn(20);

Result<PtraceStop> attach_within(std::chrono::milliseconds bound, pid_t tid) {
  return reach(tid, kToTrace, [bound, tid] { return PtraceStop::attach(tid, bound); });
}

/// Where an execve(2) is in the way another thread receives meanwhile.
Result<PtraceStop> attach(pid_t tid, ExpectedCalls& expected) {
  auto stop = attach_within(KickTimer::kSoon, tid);
  if (stop || stop.error() != Errno(EAGAIN)) return stop;
  expected.let_another_receive();
  return attach_within(PtraceStop::kSeizePatience, tid);
}

/// Waits for it to leave, for a moment; after that the call may come again. False where it is not
/// waited for.
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

/// Gives up what is attached where it is not the caller: its tid may go to a thread that execs
/// without ending the trace. One that still waits after we attached is the caller.
bool is_caller(PtraceStop& attached, PendingCall& call) {
  if (call.alive()) return true;
  attached.abandon();
  return false;
}

}  // namespace

Result<PtraceStop> attach_to_caller(PendingCall& call, ExpectedCalls& expected,
                                    const TracerWait& wait, std::optional<CpuPin>& pin) {
  int unexplained = 0;
  int foreign = 0;
  for (int tries = 0;; ++tries) {
    pin.emplace();
    auto stop = attach(call.tid(), expected);
    if (stop) {
      if (is_caller(*stop, call)) return stop;
      return Errno(ESRCH);
    }
    if (stop.error() == Errno(EAGAIN) && call.alive()) return Errno(EAGAIN);
    if (is_shortage(stop.error())) return Errno(ENOMEM);
    if (stop.error() != Errno(EPERM) || !call.alive()) return Errno(ESRCH);  // a dying thread
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

Result<PtraceStop> let_through_and_hold(PendingCall& call) {
  auto stop = PtraceStop::attach(call.tid());
  const bool attached = stop && is_caller(*stop, call);
  const auto asked = attached ? stop->interrupt() : Result<void>(Errno(ESRCH));
  call.let_through();
  if (!asked) return asked.error();
  if (const auto stopped = stop->wait_until_stopped(); !stopped) return stopped.error();
  return stop;
}

}  // namespace shmvisor
