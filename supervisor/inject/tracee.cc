#include "supervisor/inject/tracee.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "supervisor/inject/bounded_seize.h"
#include "supervisor/inject/ptrace_request.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr int kEventShift = 8;
/// Of a thread whose waits are limited, KickTimer::kPatience each.
constexpr int kMostWaits = 30;

thread_local bool t_abandoned_one = false;

}  // namespace

Result<Tracee> Tracee::seize(pid_t tid, std::uint64_t options, std::chrono::milliseconds bound) {
  const auto seized = seize_within(tid, options, bound);
  if (!seized) return seized.error();
  return Tracee(tid, options, Waits::kUnlimited);
}

void Tracee::abandon() {
  if (end()) t_abandoned_one = true;
}

void Tracee::abandon_unknown_one() { t_abandoned_one = true; }

bool Tracee::this_thread_abandoned_one() { return t_abandoned_one; }

void Tracee::kill() {
  if (!attached_) return;
  // kill(2) may be refused where ptrace(2) was not: without CAP_KILL, a process of another user.
  if (::kill(tid_, SIGKILL) != 0) ptrace_value(PTRACE_KILL, tid_, 0, 0);
  if (reap_within_bound(tid_)) {
    (void)end();
  } else {
    abandon();
  }
}

void Tracee::give_up_gone() {
  (void)end();
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

Result<void> Tracee::interrupt() {
  if (ptrace_value(PTRACE_INTERRUPT, tid_, 0, 0) != 0) return Errno::current();
  return {};
}

Tracee::Stop Tracee::wait(Wait wait, const std::function<void()>& before_long_wait) {
  siginfo_t info{};
  const bool bounded = wait == Wait::kBounded;
  const bool ends = bounded || waits_ == Waits::kLimited;
  const int most_waits = bounded ? 1 : kMostWaits;
  int error = EINTR;
  for (int waits = 0; error == EINTR && (!ends || waits < most_waits); ++waits) {
    error = ends ? wait_a_while_for_news(tid_, info, before_long_wait) : wait_for_news(tid_, info);
  }
  if (error == EINTR) return Stop::kTimeout;
  if (error != 0) return Stop::kGone;
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
    give_up_gone();
    return Stop::kGone;
  }
  return why_stopped(info.si_status);
}

Tracee::Stop Tracee::why_stopped(int status) {
  const int event = status >> kEventShift;
  const int signal = status & 0xff;
  if (event == PTRACE_EVENT_CLONE) {
    ptrace_pointer(PTRACE_GETEVENTMSG, tid_, 0, &event_message_);
  }
  if (event == PTRACE_EVENT_EXEC) return Stop::kReplaced;
  if (event == PTRACE_EVENT_SECCOMP) return Stop::kTraced;
  if (event != 0) return Stop::kInterrupted;
  if (signal == kSyscallStop) return Stop::kSyscall;
  pending_signal_ = signal;
  return is_fault(signal) ? Stop::kFault : Stop::kSignal;
}

bool Tracee::is_fault(int signal) const {
  if (!is_fault_signal(signal)) return false;
  siginfo_t info{};
  // A signal that was sent has a code of 0 or below (sigaction(2), si_code).
  return ptrace_pointer(PTRACE_GETSIGINFO, tid_, 0, &info) == 0 && info.si_code > 0;
}

bool Tracee::resume(bool to_syscall_stop) {
  const auto signal = static_cast<std::uint64_t>(std::exchange(pending_signal_, 0));
  return ptrace_value(to_syscall_stop ? PTRACE_SYSCALL : PTRACE_CONT, tid_, 0, signal) == 0;
}

bool Tracee::detach() {
  (void)end();
  if (ptrace_value(PTRACE_DETACH, tid_, 0, static_cast<std::uint64_t>(pending_signal_)) == 0) {
    return true;
  }
  give_up_gone();
  return false;
}

bool Tracee::add_option(std::uint64_t option) {
  return (options_ & option) == option || set_options(options_ | option);
}

bool Tracee::remove_option(std::uint64_t option) { return set_options(options_ & ~option); }

bool Tracee::set_options(std::uint64_t options) {
  options_ = options;
  return ptrace_value(PTRACE_SETOPTIONS, tid_, 0, options) == 0;
}

std::optional<std::uint64_t> Tracee::signal_mask() const {
  std::uint64_t mask = 0;
  if (ptrace_pointer(PTRACE_GETSIGMASK, tid_, sizeof(mask), &mask) != 0) return std::nullopt;
  return mask;
}

bool Tracee::set_signal_mask(std::uint64_t mask) {
  return ptrace_pointer(PTRACE_SETSIGMASK, tid_, sizeof(mask), &mask) == 0;
}

std::optional<std::uint64_t> Tracee::peek(std::uint64_t address) const {
  errno = 0;
  const long word = ptrace_value(PTRACE_PEEKDATA, tid_, address, 0);
  if (errno != 0) return std::nullopt;
  return static_cast<std::uint64_t>(word);
}

bool Tracee::poke(std::uint64_t address, std::uint64_t word) {
  return ptrace_value(PTRACE_POKEDATA, tid_, address, word) == 0;
}

}  // namespace shmvisor
