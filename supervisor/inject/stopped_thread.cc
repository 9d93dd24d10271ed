#include "supervisor/inject/stopped_thread.h"

#include <sys/ptrace.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "policy/base/error_result.h"
#include "policy/base/fault_point.h"
#include "supervisor/inject/ptrace_request.h"
#include "supervisor/inject/sent_stops.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

using journal::InjectionNote;
using Stop = Tracee::Stop;
using Wait = Tracee::Wait;

/// Hostile code may be there instead of the instruction we expect; so may a frozen cgroup. Of a
/// thread that did not call, nobody waits for an answer, and one is enough.
constexpr int kMostTimeouts = 3;
constexpr int kMostTimeoutsAnywhere = 1;
/// Of a guarded thread, before the one that its guard makes.
constexpr int kMostStopsBefore = 8;

/// A filter of the program's own may raise SIGSYS for a call of ours. The program has not made that
/// call, and is not to take the signal; it would, before it is back in its own code.
bool has_raised_sigsys(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  // One that the program blocks and has pending is its own.
  return status && (status->pending_signals & ~status->blocked_signals & bit_of(SIGSYS)) != 0;
}

}  // namespace

Result<StoppedThread> StoppedThread::take(Tracee tracee) {
  // Its mask stays as it is until it has to run: should we die before, nothing is to be given back.
  const auto registers = Registers::read(tracee.tid());
  const auto mask = registers ? tracee.signal_mask() : std::nullopt;
  if (mask) return StoppedThread(std::move(tracee), *registers, *mask);
  (void)tracee.detach();
  return Errno(ESRCH);
}

bool StoppedThread::release() {
  if (!tracee_.attached()) return false;
  if (!guard_leaving() || !tracee_.attached()) {
    if (tracee_.attached()) tracee_.give_up_gone();
    return false;
  }
  if (!replaced_ && entry_ && has_called_ && !stop_anew()) {
    if (tracee_.attached()) tracee_.give_up_gone();
    return false;
  }
  if (note_ != nullptr && note_->phase.load() != InjectionNote::kNone) {
    note_->phase.store(InjectionNote::kReleasing);
  }
  fault_point("releasing");
  if (!replaced_) {
    if (const auto word = departure_.result_word()) (void)tracee_.poke(word->address, word->value);
    // The mask first. Should we die between the two, the thread goes on in our code, which sets the
    // mask itself. The other way round its signals would stay blocked.
    if (!departure_.code && mask_differs_) tracee_.set_signal_mask(signal_mask_);
    if (!set_registers(departure_.registers(registers_))) {
      tracee_.give_up_gone();
      return false;
    }
    fault_point("result_set");
    if (departure_.word) (void)tracee_.poke(departure_.word->address, departure_.word->value);
    if (departure_.code) tracee_.set_signal_mask(kAllSignals & ~bit_of(SIGSYS));
  }
  const bool detached = tracee_.detach();
  fault_point("let_go");
  if (note_ != nullptr) note_->forget();
  return detached && !departure_.repeats;
}

// Whether a call is restarted is decided on the way out of it alone, where signals are handled
// (arch_do_signal_or_restart()). Behind a call of ours the thread would find the kernel's order to
// restart as the result of its own.
bool StoppedThread::stop_anew() {
  if (!tracee_.interrupt() || !resume(false)) return false;
  return wait(Wait::kWhileItTakes) != Stop::kGone;
}

bool StoppedThread::block_signals() {
  if (replaced_ || std::exchange(mask_differs_, true)) return true;
  // What it blocked itself stays so: before Linux 5.17 a signal sent to its process that is
  // dequeued and queued again is this thread's alone.
  return tracee_.set_signal_mask(tracee_.pending_signal() == 0 ? signal_mask_ | all_but_faults()
                                                               : kAllSignals);
}

Result<std::int64_t> StoppedThread::call(Abi abi, RemoteCall call,
                                         const std::array<std::uint64_t, 6>& arguments) {
  const bool guarded = is_guarded() && base().entering_instead(abi, call, arguments);
  const auto entered = guarded ? enter_guarded(abi, call, arguments)
                               : enter(abi, base().entering(abi, call, arguments), Alone::kDies);
  if (!entered) return entered.error();
  // To the exit: the kernel's own time, which populating memory may make long.
  const auto result = result_after(abi, resume_to_stop(true, Wait::kWhileItTakes));
  fault_point("step_over");
  if (guarded && result) {
    if (!is_error_result(*result)) note_->succeeded(static_cast<std::uint64_t>(*result));
    fault_point("step_noted");
    if (!set_registers(registers_.repeating())) return Errno(ESRCH);
    fault_point("step_back");
    note_->phase.store(InjectionNote::kRepeating);
  }
  if (result && entry_ && has_raised_sigsys(tid()) && resume(false) &&
      wait(Wait::kBounded) == Stop::kFault) {
    tracee_.drop_pending_signal();
  }
  return result;
}

Result<Registers> StoppedThread::run(const Registers& begin) {
  // With those of `begin` it goes on by itself, and with its own ones it makes its call again.
  if (!guard_leaving() || !tracee_.attached()) return Errno(ESRCH);
  if (note_ != nullptr && note_->phase.load() != InjectionNote::kNone) {
    note_->phase.store(InjectionNote::kReleasing);
  }
  fault_point("page_beginning");
  // The registers first: should we die from here on the code gives everything back, the mask too.
  if (replaced_ || !set_registers(begin)) return Errno(ESRCH);
  fault_point("page_begun");
  if (!block_signals()) return Errno(ESRCH);
  if ((tracee_.options() & PTRACE_O_EXITKILL) != 0) (void)tracee_.remove_option(PTRACE_O_EXITKILL);
  const Stop stop = resume_to_stop(false, Wait::kBounded);
  if (note_ != nullptr) note_->clear(InjectionNote::kGuarded);
  fault_point("page_told");
  if (stop == Stop::kReplaced || stop == Stop::kGone) return Errno(ESRCH);
  if (stop == Stop::kFault) tracee_.drop_pending_signal();  // not of the program's doing
  in_traced_call_ = stop == Stop::kTraced;
  at_end_of_code_ = true;
  mapped_by_code_.reset();
  return Registers::read(tid());
}

bool StoppedThread::may_run_untraced(KernelFeatures& features) const {
  constexpr auto kFeature = KernelFeature::kUserDispatchConfig;
  if (tracee_.pending_signal() != 0 || registers_.steps() || !features.usable(kFeature)) {
    return false;
  }
  ptrace_sud_config dispatch{};
  if (ptrace_pointer(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG), tid(),
                     sizeof(dispatch), &dispatch) != 0) {
    if (errno != ESRCH) features.mark_absent(kFeature);
    return false;
  }
  return dispatch.mode == PR_SYS_DISPATCH_OFF;
}

Result<StoppedThread::BlockingCall> StoppedThread::begin_call(
    Abi abi, RemoteCall call, const std::array<std::uint64_t, 6>& arguments) {
  const auto entered = enter(abi, registers_.entering(abi, call, arguments), Alone::kDies);
  if (!entered) return entered.error();
  if (!resume(true)) return Errno(ESRCH);
  return BlockingCall(*this, abi);
}

Result<StoppedThread::BlockingCall> StoppedThread::begin_again(Abi abi) {
  if (is_guarded() && !note_repeating()) return Errno(ESRCH);
  const auto entered =
      enter(abi, registers_.repeating(), is_guarded() ? Alone::kGoesOn : Alone::kDies);
  if (!entered) return entered.error();
  if (!resume(true)) return Errno(ESRCH);
  return BlockingCall(*this, abi);
}

Result<void> StoppedThread::enter(Abi abi, const Registers& entering, Alone alone) {
  if (replaced_) return Errno(ESRCH);
  if (alone == Alone::kDies) die_with_us();  // nobody else would give it its registers back
  has_called_ = true;
  if (!set_registers(entering)) return Errno(ESRCH);
  // Without a number the call that run() ended in is skipped; its way out stops too.
  if (std::exchange(in_traced_call_, false) &&
      resume_to_stop(true, Wait::kBounded) != Stop::kSyscall) {
    return Errno(ESRCH);
  }
  // One instruction of the thread's own memory, which may be anything by now.
  switch (resume_to_stop(true, Wait::kBounded)) {
    case Stop::kSyscall:
      return check_entry(abi, entering);
    case Stop::kGone:
      return Errno(ESRCH);
    case Stop::kFault:
      // What is at the entry was not the program's to run; so is a SIGSYS instead of the call, by
      // prctl(2), PR_SET_SYSCALL_USER_DISPATCH.
      if (entry_) tracee_.drop_pending_signal();
      return Errno(EACCES);
    default:
      return Errno(EACCES);
  }
}

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
    note_->clear(InjectionNote::kGuarded);
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
  note_->set(InjectionNote::kGuarded);
  if (SentStops::all().send(tracee_)) return;
  note_->clear(InjectionNote::kGuarded);
  die_with_us();
}

void StoppedThread::meet_stop() {
  for (int stops = 0; stops < kMostStopsBefore; ++stops) {
    if (!tracee_.waits_for_it(SIGSTOP)) return note_->clear(InjectionNote::kGuarded);
    if (!resume(false)) return tracee_.give_up_gone();
    fault_point("meeting_stop");
    switch (wait(Wait::kBounded)) {
      case Stop::kGone:
        return;
      case Stop::kTimeout:
        // A SIGCONT came between our look and now, and it waits in its own call, made again.
        return tracee_.abandon();
      case Stop::kInterrupted:
        continue;  // its process is stopped as well
      default:
        if (drop_own_stop()) return;
        // What else could come is queued again if it is blocked.
        (void)tracee_.set_signal_mask(kAllSignals);
    }
  }
}

bool StoppedThread::drop_own_stop() {
  if (!is_guarded() || !tracee_.takes_sent_stop()) return false;
  tracee_.drop_pending_signal();
  return true;
}

Result<void> StoppedThread::check_entry(Abi abi, const Registers& wanted) {
  // Another entry may be there by now, of an ABI in which munmap's number is execve's: what was
  // entered counts, not what we meant to enter.
  __ptrace_syscall_info info{};
  if (ptrace_pointer(PTRACE_GET_SYSCALL_INFO, tid(), sizeof(info), &info) <= 0) {
    return Errno(ESRCH);
  }
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY &&
      wanted.enters(abi, info.arch, info.entry.nr, info.entry.args)) {
    return {};
  }
  // Entered, but not with a number that means anything: the kernel skips it.
  if (!set_registers(registers_.returning(-ENOSYS))) return Errno(ESRCH);
  return Errno(EACCES);
}

Result<std::int64_t> StoppedThread::result_after(Abi abi, Stop stop) {
  if (stop != Stop::kSyscall) return Errno(ESRCH);
  const auto after = Registers::read(tid());
  if (!after) return after.error();
  return after->result(abi);
}

Result<StoppedThread::Cloned> StoppedThread::clone_stopped(Abi abi, std::uint64_t flags) {
  if (!tracee_.add_option(PTRACE_O_TRACECLONE)) return Errno::current();
  (void)tracee_.take_cloned();
  // A signal that waits for it would have it make the call again.
  if (is_guarded() && note_->has(InjectionNote::kGuarded)) meet_stop();
  const std::array<std::uint64_t, 6> arguments{flags};
  const auto entered =
      enter(abi, registers_.entering(abi, RemoteCall::kClone, arguments), Alone::kDies);
  if (!entered) return entered.error();
  const auto cloned = result_after(abi, resume_to_stop(true, Wait::kWhileItTakes));
  if (!cloned) {
    // It may have died after it made the child. That is traced by this thread, stopped, and dies
    // with it: die_with_us(), whose option a child inherits.
    Tracee::abandon_unknown_one();
    return cloned.error();
  }
  (void)tracee_.remove_option(PTRACE_O_TRACECLONE);
  consume_stop(tid());  // so that waiting for the clone does not find it
  if (*cloned < 0) return Errno(static_cast<int>(-*cloned));
  const pid_t tid = tracee_.take_cloned();
  if (tid == 0) {
    Tracee::abandon_unknown_one();
    return Errno(EAGAIN);
  }
  return Cloned{tid, *cloned};
}

Stop StoppedThread::resume_to_stop(bool to_syscall_stop, Wait bound) {
  const int most_timeouts = entry_ ? kMostTimeoutsAnywhere : kMostTimeouts;
  int timeouts = 0;
  bool has_met_guard = false;
  for (;;) {
    if (!resume(to_syscall_stop)) return Stop::kGone;
    if (std::exchange(has_met_guard, false)) note_->clear(InjectionNote::kGuarded);
    Stop stop = wait(bound);
    if (stop == Stop::kTimeout) {
      if (!tracee_.interrupt()) return Stop::kGone;
      stop = wait(Wait::kWhileItTakes);
      if (stop == Stop::kTimeout) return stop;
      if (stop == Stop::kInterrupted && ++timeouts >= most_timeouts) return Stop::kTimeout;
    }
    switch (stop) {
      case Stop::kInterrupted:
        continue;  // a clone of our own, or a job-control stop, taken up again when it is let go
      case Stop::kSignal:
        if (drop_own_stop()) {
          has_met_guard = true;
          fault_point("stop_dropped");
          continue;
        }
        // A SIGSTOP cannot be blocked, and takes effect when the thread is let go. What else could
        // come is queued again if it is blocked now (kernel/signal.c: ptrace_signal()).
        if (tracee_.pending_signal() != SIGSTOP && !tracee_.set_signal_mask(kAllSignals)) {
          return Stop::kGone;
        }
        continue;
      case Stop::kTraced:
        if (!to_syscall_stop) return stop;
        // A filter of its own wants the call traced. Nobody does, so it is not made.
        if (!set_registers(registers_.returning(-ENOSYS))) return Stop::kGone;
        continue;
      default:
        return stop;
    }
  }
}

bool StoppedThread::resume(bool to_syscall_stop) {
  return block_signals() && tracee_.resume(to_syscall_stop);
}

Stop StoppedThread::wait(Wait bound) {
  const Stop stop = tracee_.wait(bound);
  if (stop == Stop::kReplaced) replaced_ = true;
  return stop;
}

}  // namespace shmvisor
