#include "supervisor/inject/stopped_caller.h"

#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>

#include "policy/base/error_result.h"
#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/arch/registers.h"
#include "supervisor/kernel/fault_point.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/kernel/thread_pidfd.h"

namespace shmvisor {
namespace {

using journal::InjectionNote;

constexpr int kMostStops = 5;
constexpr std::chrono::milliseconds kSeizeBound(1000);

}  // namespace

std::optional<bool> is_thread(pid_t tid, std::uint64_t unique) {
  if (unique == 0) return true;
  const auto pidfd = open_thread_pidfd(tid);
  if (!pidfd && is_shortage(pidfd.error())) return std::nullopt;
  return pidfd && inode_of(*pidfd) == unique;
}

Result<Tracee> StoppedCaller::seize(pid_t tid) {
  return with_identity_of(tid, kToTrace, [tid] { return Tracee::seize(tid, 0, kSeizeBound); });
}

StoppedCaller::Found StoppedCaller::restore(CallSlots& slots) {
  has_waited_ = true;
  switch (tracee_.wait(Tracee::Wait::kBounded)) {
    case Tracee::Stop::kGone:
      return Found::kGone;
    case Tracee::Stop::kTimeout:  // frozen
      tracee_.abandon();
      return Found::kLater;
    default:
      break;
  }
  const auto now = Registers::read(tid());
  const auto mask = tracee_.signal_mask();
  if (!now || !mask) return Found::kGone;
  // Its tid cannot go to another thread from here on.
  const auto same = is_thread(tid(), note_.caller.load());
  if (!same) return Found::kLater;
  if (!*same || !slots.look_at_left(call_, [](InjectionNote&) {})) {
    (void)tracee_.detach();
    return Found::kElsewhere;
  }
  RawRegisters raw{};
  std::memcpy(&raw, note_.registers.data(), sizeof(raw));
  const Registers own(raw);
  const Registers again = own.repeating();
  // One that the kernel has repeat a call, a later one from the same place say, is in that call.
  keeps_result_ = note_.phase.load() == InjectionNote::kReleasing &&
                  std::memcmp(&now->raw(), &again.raw(), sizeof(raw)) != 0;
  mask_ = *mask;
  if (keeps_result_) {
    const bool is_ours = (mask_ | kUnblockable) == (kAllButContinue | kUnblockable);
    if (is_ours && note_.has(InjectionNote::kBlocked)) mask_ = note_.signal_mask;
    return Found::kHeld;
  }
  // What stopped it may be anybody's stop, if somebody has continued it before.
  if (!now->is_at_call_of(own)) {
    const std::uint64_t blocked = note_.signal_mask | all_but_faults();
    if (note_.has(InjectionNote::kBlocked) && (*mask | kUnblockable) == (blocked | kUnblockable)) {
      (void)tracee_.set_signal_mask(note_.signal_mask);
    }
    (void)tracee_.detach();
    return Found::kElsewhere;
  }
  // No handler of its runs before it makes its call, at whose end it gets its mask back; or now,
  // where nobody serves that.
  mask_ = is_served_ ? note_.signal_mask | all_but_faults() : note_.signal_mask;
  if (note_.phase.load() == InjectionNote::kStepping) {
    const auto result = now->result_of_other(own.abi(), note_.call.load());
    if (result && !is_error_result(*result)) {
      note_.succeeded(static_cast<std::uint64_t>(*result));
    }
  }
  spdlog::debug("thread {} was left in phase {}, done {} at {:#x}", tid(), note_.phase.load(),
                note_.done.load(), note_.address.load());
  fault_point("left_looked_at");
  if (!again.write_to(tid())) return Found::kGone;
  fault_point("left_registers");
  note_.phase.store(InjectionNote::kRepeating);
  return Found::kHeld;
}

void StoppedCaller::take_continue() {
  if (keeps_result_) {  // should we die before it has its mask again
    note_.signal_mask = mask_;
    note_.set(InjectionNote::kBlocked);
  }
  (void)tracee_.set_signal_mask(kAllButContinue);
  if (::syscall(SYS_tkill, tid(), SIGCONT) != 0) return;
  for (int stops = 0; stops < kMostStops && tracee_.waits_for_it(SIGCONT); ++stops) {
    if (!tracee_.resume(true)) return;
    const auto stop = tracee_.wait(Tracee::Wait::kBounded);
    // Somebody took the SIGCONT back, by a SIGSTOP say: it runs, or makes its call.
    if (stop == Tracee::Stop::kSyscall) return;
    if (stop == Tracee::Stop::kTimeout &&
        (!tracee_.interrupt() || tracee_.wait(Tracee::Wait::kBounded) == Tracee::Stop::kTimeout)) {
      return tracee_.abandon();
    }
    if (!tracee_.attached()) return;
    if (tracee_.pending_signal() == SIGCONT) return tracee_.drop_pending_signal();
  }
}

void StoppedCaller::detach_stopped() {
  if (!tracee_.attached()) return;
  if (!has_waited_ && tracee_.wait(Tracee::Wait::kBounded) == Tracee::Stop::kTimeout)
    return tracee_.abandon();
  (void)tracee_.detach();
}

void StoppedCaller::let_go() {
  if (!tracee_.attached()) return;
  (void)tracee_.set_signal_mask(mask_);
  note_.clear(InjectionNote::kGuarded);
  fault_point("left_restored");
  (void)tracee_.detach();
  fault_point("left_let_go");
}

}  // namespace shmvisor
