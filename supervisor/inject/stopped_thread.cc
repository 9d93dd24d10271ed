#include "supervisor/inject/stopped_thread.h"

#include <sys/ptrace.h>

#include <cerrno>
#include <csignal>

#include "supervisor/inject/ptrace_request.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

using Stop = Tracee::Stop;
using Wait = Tracee::Wait;

/// Hostile code may be there instead of the instruction we expect; so may a frozen cgroup. Of a
/// thread that did not call, nobody waits for an answer, and one is enough.
constexpr int kMostTimeouts = 3;
constexpr int kMostTimeoutsAnywhere = 1;

/// A filter of the program's own may raise SIGSYS for a call of ours. The program has not made that
/// call, and is not to take the signal; it would, before it is back in its own code.
bool has_raised_sigsys(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  // A SIGSYS that the program blocks and has pending is its own.
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
  if (!replaced_ && entry_ && has_called_ && !stop_anew()) {
    if (tracee_.attached()) tracee_.give_up_gone();
    return false;
  }
  if (!replaced_) {
    if (const auto word = departure_.result_word()) (void)tracee_.poke(word->address, word->value);
    // The mask first. Should we die between the two, the thread goes on in our code, which sets the
    // mask itself. The other way round its signals would stay blocked.
    if (!departure_.code && mask_differs_) tracee_.set_signal_mask(signal_mask_);
    if (!set_registers(departure_.registers(registers_))) {
      tracee_.give_up_gone();
      return false;
    }
    if (departure_.word) (void)tracee_.poke(departure_.word->address, departure_.word->value);
    if (departure_.code) tracee_.set_signal_mask(kAllSignals & ~bit_of(SIGSYS));
  }
  return tracee_.detach() && !departure_.repeats;
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
  if (const auto entered = enter(abi, base().entering(abi, call, arguments)); !entered) {
    return entered.error();
  }
  // To the exit: the kernel's own time, which populating memory may make long.
  const auto result = result_after(abi, resume_to_stop(true, Wait::kWhileItTakes));
  if (result && entry_ && has_raised_sigsys(tid()) && resume(false) &&
      wait(Wait::kBounded) == Stop::kFault) {
    tracee_.drop_pending_signal();
  }
  return result;
}

Result<Registers> StoppedThread::run(const Registers& begin) {
  // The registers first: should we die from here on the code gives everything back, the mask too.
  if (replaced_ || !set_registers(begin) || !block_signals()) return Errno(ESRCH);
  if ((tracee_.options() & PTRACE_O_EXITKILL) != 0) (void)tracee_.remove_option(PTRACE_O_EXITKILL);
  const Stop stop = resume_to_stop(false, Wait::kBounded);
  if (stop == Stop::kReplaced || stop == Stop::kGone) return Errno(ESRCH);
  if (stop == Stop::kFault) tracee_.drop_pending_signal();  // not of the program's doing
  in_traced_call_ = stop == Stop::kTraced;
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
  const auto entered = enter(abi, registers_.entering(abi, call, arguments));
  if (!entered) return entered.error();
  if (!resume(true)) return Errno(ESRCH);
  return BlockingCall(*this, abi);
}

Result<StoppedThread::BlockingCall> StoppedThread::begin_again(Abi abi) {
  const auto entered = enter(abi, registers_.repeating());
  if (!entered) return entered.error();
  if (!resume(true)) return Errno(ESRCH);
  return BlockingCall(*this, abi);
}

Result<void> StoppedThread::enter(Abi abi, const Registers& entering) {
  if (replaced_) return Errno(ESRCH);
  die_with_us();  // nobody else would give it its registers back
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
  const std::array<std::uint64_t, 6> arguments{flags};
  const auto entered = enter(abi, registers_.entering(abi, RemoteCall::kClone, arguments));
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
  for (;;) {
    if (!resume(to_syscall_stop)) return Stop::kGone;
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
