// How a StoppedThread is guarded: a SIGSTOP waits for it while it has registers with which it must
// not be back in its program, should we die.
#include <csignal>
#include <cstring>
#include <utility>

#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/kernel/fault_point.h"

namespace shmvisor {
namespace {

using journal::InjectionNote;
using Stop = Tracee::Stop;
using Wait = Tracee::Wait;

/// Of a guarded thread, before the one that its guard makes.
constexpr int kMostStopsBefore = 8;

}  // namespace

Result<void> StoppedThread::enter_guarded(Abi abi, RemoteCall call,
                                          const std::array<std::uint64_t, 6>& arguments) {
  if (!note_repeating()) return Errno(ESRCH);
  fault_point("step_begun");
  const Registers own = registers_.repeating();
  if (const auto entered = enter(abi, own, Alone::kGoesOn); !entered) return entered;
  fault_point("step_entered");
  note_->call.store(static_cast<std::uint32_t>(call_number(abi, call)));
  send_guard();
  fault_point("step_guarded");
  note_->phase.store(InjectionNote::kStepping);
  const auto other = registers_.entering_instead(abi, call, arguments);
  if (!other || !set_registers(*other)) return Errno(ESRCH);
  fault_point("step_replaced");
  return {};
}

bool StoppedThread::note_repeating() {
  if (note_->phase.load() == InjectionNote::kRepeating) return true;
  note_->signal_mask = signal_mask_;
  const auto& raw = registers_.raw();
  static_assert(sizeof(raw) <= sizeof(note_->registers));
  std::memcpy(note_->registers.data(), &raw, sizeof(raw));
  note_->set(InjectionNote::kBlocked);
  if (std::exchange(at_end_of_code_, false)) {
    // Should we die now it goes on with what that code has done, and from the next registers on it
    // repeats its call. Where it stops tells which.
    note_->phase.store(InjectionNote::kReleasing);
    send_guard();
    if (mapped_by_code_) {
      note_->address.store(*mapped_by_code_);
      note_->done.store(InjectionNote::kMap);
    }
    fault_point("code_guarded");
    if (!set_registers(registers_.repeating())) return false;
    fault_point("code_left");
  }
  note_->phase.store(InjectionNote::kRepeating);
  return true;
}

bool StoppedThread::guard_leaving() {
  if (!is_guarded()) return true;
  const bool is_own = note_->phase.load() == InjectionNote::kRepeating;
  if (!note_->has(InjectionNote::kGuarded) || !tracee_.waits_for_it(SIGSTOP)) {
    guard_is_gone();
    // What a repeated call finds is what it is, and nothing is to be given back.
    if (!is_own || departure_.repeats || replaced_) return true;
    // The kernel's order may be there instead, from a repetition of the call.
    if (!set_registers(registers_.repeating())) return false;
    send_guard();
  }
  meet_stop();
  return tracee_.attached();
}

void StoppedThread::send_guard() {
  guard_.reset();
  // The kernel would take back a SIGCONT that its program has yet to see.
  if (!tracee_.may_have_waiting(SIGCONT)) {
    note_->set(InjectionNote::kGuarded);
    if (auto sent = SentStops::all().send(tracee_)) {
      guard_.emplace(std::move(*sent));
      return;
    }
  }
  note_->clear(InjectionNote::kGuarded);
  die_with_us();
}

void StoppedThread::guard_is_gone() {
  note_->clear(InjectionNote::kGuarded);
  guard_.reset();
}

void StoppedThread::meet_stop() {
  for (int stops = 0; stops < kMostStopsBefore; ++stops) {
    if (!tracee_.waits_for_it(SIGSTOP)) return guard_is_gone();
    if (!resume(false)) return tracee_.give_up_gone();
    fault_point("meeting_stop");
    switch (wait(Wait::kBounded)) {
      case Stop::kGone:
        return;
      case Stop::kTimeout:
        return tracee_.abandon();  // what it has instead of its call does not end
      case Stop::kInterrupted:
        continue;  // its process is stopped as well, or a SIGCONT has taken the guard back
      default:
        if (drop_own_stop()) return;
        // What else could come is queued again if it is blocked.
        (void)tracee_.set_signal_mask(kAllSignals);
    }
  }
}

bool StoppedThread::drop_own_stop() {
  if (!is_guarded() || !note_->has(InjectionNote::kGuarded) || !tracee_.takes_sent_stop()) {
    return false;
  }
  tracee_.drop_pending_signal();
  return true;
}

}  // namespace shmvisor
