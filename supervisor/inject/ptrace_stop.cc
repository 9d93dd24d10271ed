#include "supervisor/inject/ptrace_stop.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <utility>

#include "emulation/ipc/rw_lock.h"
#include "supervisor/inject/bounded_seize.h"
#include "supervisor/inject/ptrace_request.h"
#include "supervisor/inject/tracee_news.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr int kEventShift = 8;
/// Hostile code may be there instead of the instruction we expect; so may a frozen cgroup.
constexpr int kMostTimeouts = 3;
/// Of a thread whose waits are limited, KickTimer::kPatience each.
constexpr int kMostWaits = 30;

thread_local bool t_left_somebody_attached = false;

}  // namespace

Result<PtraceStop> PtraceStop::seize(pid_t tid) {
  auto stop = attach(tid);
  if (!stop) return stop;
  if (const auto asked = stop->interrupt(); !asked) return asked.error();
  return stop;
}

Result<PtraceStop> PtraceStop::attach(pid_t tid, std::chrono::milliseconds bound) {
  RwLock::assert_may_wait();
  const auto seized = seize_within(tid, kFirstOptions, bound);
  if (!seized) return seized.error();
  return PtraceStop(tid);
}

void PtraceStop::abandon() {
  (void)attached_.end();
  t_left_somebody_attached = true;
}

bool PtraceStop::left_somebody_attached() { return t_left_somebody_attached; }

Result<void> PtraceStop::interrupt() {
  if (ptrace_value(PTRACE_INTERRUPT, tid_, 0, 0) != 0) return Errno::current();
  return {};
}

PtraceStop::~PtraceStop() { release(); }

bool PtraceStop::release() {
  if (!attached_.end()) return false;
  if (!stopped_) {
    // Never stopped: an attach that was given up. Only a stopped thread can be detached; it stops
    // as soon as it leaves the kernel, so the caller must have answered it before.
    switch (wait_any(true)) {
      case Stop::kGone:
        return false;
      case Stop::kTimeout:
        abandon();
        return false;
      default:
        break;
    }
  }
  if (saved_) {
    if (leaving_ && result_ && result_address_) {
      (void)poke({*result_address_, static_cast<std::uint64_t>(*result_)});
    }
    if (!set_registers(last_registers())) return gone();
    if (written_then_) (void)poke(*written_then_);
    if (leaving_) {
      set_signal_mask(kAllSignals & ~bit_of(SIGSYS));
    } else if (mask_changed_) {
      set_signal_mask(signal_mask_);
    }
  }
  if (ptrace_value(PTRACE_DETACH, tid_, 0, static_cast<std::uint64_t>(pending_signal_)) != 0) {
    return gone();
  }
  return !repeating_;
}

Registers PtraceStop::last_registers() const {
  if (leaving_) return *leaving_;
  if (repeating_) return saved_->repeating();
  return result_ ? saved_->returning(*result_) : *saved_;
}

Result<void> PtraceStop::wait_until_stopped(const std::function<void()>& before_long_wait) {
  // A thread on its way out stops for us before it takes any signal (get_signal() of
  // kernel/signal.c), so that the instruction pointer is still behind the call.
  // One in a frozen cgroup (v1) does not come there.
  switch (wait_any(true, before_long_wait)) {
    case Stop::kGone:
      (void)attached_.end();
      return Errno(ESRCH);
    case Stop::kTimeout:
      abandon();
      return Errno(EAGAIN);
    default:
      break;
  }
  stopped_ = true;
  auto registers = read_registers();
  if (!registers) return registers.error();
  saved_ = *registers;
  // Its mask stays as it is until it has to run: should we die before, nothing is to be given back.
  if (ptrace_pointer(PTRACE_GETSIGMASK, tid_, sizeof(signal_mask_), &signal_mask_) != 0) {
    saved_.reset();
    return Errno(ESRCH);
  }
  return {};
}

bool PtraceStop::block_signals() {
  if (!saved_ || std::exchange(mask_changed_, true)) return true;
  // What it blocked itself stays so: before Linux 5.17 a signal sent to its process that is
  // dequeued and queued again is this thread's alone.
  return set_signal_mask(pending_signal_ == 0 ? signal_mask_ | all_but_faults() : kAllSignals);
}

Result<std::int64_t> PtraceStop::call(Abi abi, RemoteCall call,
                                      const std::array<std::uint64_t, 6>& arguments) {
  if (!saved_) return Errno(ESRCH);
  if (const auto entered = enter(abi, saved_->entering(abi, call, arguments)); !entered) {
    return entered.error();
  }
  // To the exit: the kernel's own time, which populating memory may make long.
  return leave(abi, resume_to_stop(true, false));
}

Result<Registers> PtraceStop::run(const Registers& begin) {
  if (!saved_ || !set_registers(begin)) return Errno(ESRCH);
  const Stop stop = resume_to_stop(false, true);
  if (stop == Stop::kReplaced || stop == Stop::kGone) return Errno(ESRCH);
  if (stop == Stop::kFault) pending_signal_ = 0;  // not of the program's doing
  in_traced_call_ = stop == Stop::kTraced;
  return read_registers();
}

std::optional<std::uint64_t> PtraceStop::peek(std::uint64_t address) const {
  errno = 0;
  const long word = ptrace_value(PTRACE_PEEKDATA, tid_, address, 0);
  if (errno != 0) return std::nullopt;
  return static_cast<std::uint64_t>(word);
}

bool PtraceStop::poke(const Word& word) const {
  return ptrace_value(PTRACE_POKEDATA, tid_, word.address, word.value) == 0;
}

bool PtraceStop::can_be_left(KernelFeatures& features) const {
  constexpr auto kFeature = KernelFeature::kUserDispatchConfig;
  if (pending_signal_ != 0 || saved_->steps() || !features.usable(kFeature)) return false;
  ptrace_sud_config dispatch{};
  if (ptrace_pointer(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG), tid_,
                     sizeof(dispatch), &dispatch) != 0) {
    if (errno != ESRCH) features.mark_absent(kFeature);
    return false;
  }
  return dispatch.mode == PR_SYS_DISPATCH_OFF;
}

bool PtraceStop::begin_call(Abi abi, RemoteCall call,
                            const std::array<std::uint64_t, 6>& arguments) {
  return saved_ && enter(abi, saved_->entering(abi, call, arguments)).ok() && resume(true);
}

bool PtraceStop::begin_again(Abi abi) {
  return saved_ && enter(abi, saved_->repeating()).ok() && resume(true);
}

bool PtraceStop::call_is_over() const { return has_news(tid_); }

Result<void> PtraceStop::enter(Abi abi, const Registers& entering) {
  die_with_us();  // nobody else would give it its registers back
  if (!set_registers(entering)) return Errno(ESRCH);
  // Without a number the call that run() ended in is skipped; its way out stops too.
  if (std::exchange(in_traced_call_, false) && resume_to_stop(true, true) != Stop::kSyscall) {
    return Errno(ESRCH);
  }
  // One instruction of the thread's own memory, which may be anything by now.
  switch (resume_to_stop(true, true)) {
    case Stop::kSyscall:
      return check_entry(abi, entering);
    case Stop::kGone:
      return Errno(ESRCH);
    default:
      return Errno(EACCES);
  }
}

Result<void> PtraceStop::check_entry(Abi abi, const Registers& wanted) {
  // Another entry may be there by now, of an ABI in which munmap's number is execve's: what was
  // entered counts, not what we meant to enter.
  __ptrace_syscall_info info{};
  if (ptrace_pointer(PTRACE_GET_SYSCALL_INFO, tid_, sizeof(info), &info) <= 0) return Errno(ESRCH);
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY &&
      wanted.enters(abi, info.arch, info.entry.nr, info.entry.args)) {
    return {};
  }
  // Entered, but not with a number that means anything: the kernel skips it.
  if (!set_registers(saved_->returning(-ENOSYS))) return Errno(ESRCH);
  return Errno(EACCES);
}

Result<std::int64_t> PtraceStop::leave(Abi abi, Stop stop) {
  if (stop != Stop::kSyscall) return Errno(ESRCH);
  const auto after = read_registers();
  if (!after) return after.error();
  return after->result(abi);
}

Result<PtraceStop::Cloned> PtraceStop::clone_stopped(Abi abi, std::uint64_t flags) {
  if (!set_options(options_ | PTRACE_O_TRACECLONE)) return Errno::current();
  event_message_ = 0;
  const auto cloned = call(abi, RemoteCall::kClone, {flags, 0, 0, 0, 0});
  if (!cloned) return cloned.error();
  (void)set_options(options_ & ~std::uint64_t{PTRACE_O_TRACECLONE});
  consume_stop(tid_);  // so that waiting for the clone does not find it
  if (*cloned < 0) return Errno(static_cast<int>(-*cloned));
  if (event_message_ == 0) return Errno(EAGAIN);
  return Cloned{static_cast<pid_t>(event_message_), *cloned};
}

bool PtraceStop::set_options(std::uint64_t options) {
  options_ = options;
  return ptrace_value(PTRACE_SETOPTIONS, tid_, 0, options) == 0;
}

void PtraceStop::die_with_us() {
  if ((options_ & PTRACE_O_EXITKILL) == 0) (void)set_options(options_ | PTRACE_O_EXITKILL);
}

void PtraceStop::kill() {
  if (!attached_.end()) return;
  // kill(2) may be refused where ptrace(2) was not: without CAP_KILL, a process of another user.
  if (::kill(tid_, SIGKILL) != 0) ptrace_value(PTRACE_KILL, tid_, 0, 0);
  if (!reap_within_bound(tid_)) abandon();
}

PtraceStop::Stop PtraceStop::resume_to_stop(bool to_syscall_stop, bool bounded) {
  int timeouts = 0;
  for (;;) {
    if (!resume(to_syscall_stop)) return Stop::kGone;
    Stop stop = wait_any(bounded);
    if (stop == Stop::kTimeout) {
      if (ptrace_value(PTRACE_INTERRUPT, tid_, 0, 0) != 0) return Stop::kGone;
      stop = wait_any(false);
      if (stop == Stop::kTimeout) return stop;
      if (stop == Stop::kInterrupted && ++timeouts >= kMostTimeouts) return Stop::kTimeout;
    }
    switch (stop) {
      case Stop::kInterrupted:
        continue;  // a clone of our own, or a job-control stop, taken up again when it is let go
      case Stop::kSignal:
        // A SIGSTOP cannot be blocked, and takes effect when the thread is let go. What else could
        // come is queued again if it is blocked now (kernel/signal.c: ptrace_signal()).
        if (pending_signal_ != SIGSTOP && !set_signal_mask(kAllSignals)) return Stop::kGone;
        continue;
      case Stop::kTraced:
        if (!to_syscall_stop) return stop;
        // A filter of its own wants the call traced. Nobody does, so it is not made.
        if (!set_registers(saved_->returning(-ENOSYS))) return Stop::kGone;
        continue;
      default:
        return stop;
    }
  }
}

bool PtraceStop::resume(bool to_syscall_stop) {
  if (!block_signals()) return false;
  const int signal = std::exchange(pending_signal_, 0);
  return ptrace_value(to_syscall_stop ? PTRACE_SYSCALL : PTRACE_CONT, tid_, 0,
                      static_cast<std::uint64_t>(signal)) == 0;
}

PtraceStop::Stop PtraceStop::wait_any(bool bounded, const std::function<void()>& before_long_wait) {
  siginfo_t info{};
  const bool ends = bounded || waits_limited_;
  const int most_waits = bounded ? 1 : kMostWaits;
  int error = EINTR;
  for (int waits = 0; error == EINTR && (!ends || waits < most_waits); ++waits) {
    error = ends ? wait_a_while_for_news(tid_, info, before_long_wait) : wait_for_news(tid_, info);
  }
  if (error == EINTR) return Stop::kTimeout;
  if (error != 0) return Stop::kGone;
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
    reap();
    return Stop::kGone;
  }
  const int event = info.si_status >> kEventShift;
  const int signal = info.si_status & 0xff;
  if (event == PTRACE_EVENT_CLONE) {
    ptrace_pointer(PTRACE_GETEVENTMSG, tid_, 0, &event_message_);
  }
  if (event == PTRACE_EVENT_EXEC) {
    saved_.reset();  // they were the old program's
    return Stop::kReplaced;
  }
  if (event == PTRACE_EVENT_SECCOMP) return Stop::kTraced;
  if (event != 0) return Stop::kInterrupted;
  if (signal == kSyscallStop) return Stop::kSyscall;
  pending_signal_ = signal;
  return is_fault(signal) ? Stop::kFault : Stop::kSignal;
}

bool PtraceStop::is_fault(int signal) const {
  if (!saved_ || !is_fault_signal(signal)) return false;
  siginfo_t info{};
  // One that was sent has a code of 0 or below (sigaction(2), si_code).
  return ptrace_pointer(PTRACE_GETSIGINFO, tid_, 0, &info) == 0 && info.si_code > 0;
}

void PtraceStop::reap() {
  (void)attached_.end();
  const bool ended = wait_for_end(tid_, [this] {
    // Not dead but stopped for us: a program that took the tid over. It is none of ours.
    return ptrace_value(PTRACE_DETACH, tid_, 0, 0) == 0;
  });
  if (!ended) return;
  // A thread that dies traced waits for its tracer before its own parent hears of it. But a child
  // of ours is the init loop's to reap, which wants its exit status.
  const auto status = TaskStatus::read(tid_);
  if (status && status->tgid == tid_ && status->ppid == getpid()) return;
  siginfo_t info{};
  (void)::waitid(P_PID, static_cast<id_t>(tid_), &info, WEXITED | __WALL | __WNOTHREAD | WNOHANG);
}

bool PtraceStop::set_signal_mask(std::uint64_t mask) {
  return ptrace_pointer(PTRACE_SETSIGMASK, tid_, sizeof(mask), &mask) == 0;
}

}  // namespace shmvisor
