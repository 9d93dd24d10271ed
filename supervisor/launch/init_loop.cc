#include "supervisor/launch/init_loop.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <utility>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/launch/exit_status.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kUntilReapedAgain(5);
constexpr std::chrono::milliseconds kPause(5);
/// In one turn of the loop, which has other things to do: any process that may signal us can send
/// signals faster than they are passed on, and orphans may end faster than they are reaped.
constexpr int kMostReadsInATurn = 4;
constexpr int kMostReapedInATurn = 64;

/// SIGALRM of a timer that our parent had set: it outlives exec(2), and natively would be the
/// command's.
bool is_alarm(const signalfd_siginfo& info) {
  return info.ssi_code == SI_KERNEL && info.ssi_signo == SIGALRM;
}

/// A signal that the kernel sent to a process group, not one process to another.
bool is_from_terminal(const signalfd_siginfo& info) {
  return info.ssi_code == SI_KERNEL && !is_alarm(info);
}

bool asks_to_end(const signalfd_siginfo& info) {
  return info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGQUIT ||
         info.ssi_signo == SIGHUP;
}

bool from_a_process(const signalfd_siginfo& info) {
  return info.ssi_code <= 0 && info.ssi_pid != static_cast<std::uint32_t>(getpid());
}

/// Stops this process by the signal that stopped the command, so that our parent sees what the
/// command's parent would see. Returns when we are continued.
void stop_like(int signal_number) {
  struct sigaction before {};
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  sigaction(signal_number, &by_default, &before);
  ::raise(signal_number);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);  // here it takes effect
  pthread_sigmask(SIG_BLOCK, &only, nullptr);
  sigaction(signal_number, &before, nullptr);
}

/// Only one of sigqueue(3) may keep its sender: do_rt_sigqueueinfo() of kernel/signal.c.
int queue_as_it_came(pid_t pid, const signalfd_siginfo& info) {
  siginfo_t original{};
  original.si_signo = static_cast<int>(info.ssi_signo);
  original.si_code = info.ssi_code;
  original.si_pid = static_cast<pid_t>(info.ssi_pid);
  original.si_uid = info.ssi_uid;
  original.si_value.sival_ptr = reinterpret_cast<void*>(info.ssi_ptr);
  return static_cast<int>(::syscall(SYS_rt_sigqueueinfo, pid, original.si_signo, &original));
}

void send(pid_t pid, const signalfd_siginfo& info) {
  (void)with_identity_of(pid, kToSignal, [&] {
    const bool queued = info.ssi_code == SI_QUEUE && pid > 0;
    const int sent =
        queued ? queue_as_it_came(pid, info) : ::kill(pid, static_cast<int>(info.ssi_signo));
    return sent == 0 ? Result<void>() : Errno::current();
  });
}

}  // namespace

InitLoop::InitLoop(EventLoop& loop, pid_t command, const ProcessGroup& group, bool signal_group,
                   const sigset_t& watched, const ProcessScope& scope)
    : loop_(loop),
      command_(command),
      group_(group),
      signal_group_(signal_group),
      scope_(scope),
      signals_(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK)),
      signals_came_(loop.watch(signals_.get(), POLLIN, [this](short) { read_signals(); })),
      reap_again_(loop.timer([this] { reap(); })),
      got_(
          loop, [this](const auto& info, bool to_group) { pass_on(info, to_group); },
          [this] { read_signals(); }) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  // Every attach stops a process, and would wake us; only a job-control shell wants to know. With
  // one, what wakes us in vain makes us pause.
  action.sa_flags = group_.terminal().present() ? 0 : SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, nullptr);
}

void InitLoop::end_with(const ParentWatch& parent) {
  parent_ended_ = loop_.watch(parent.fd(), POLLIN, [this](short) { see_end_of_parent(); });
}

int InitLoop::run(bool linger, const std::function<bool()>& all_gone) {
  look_at_children();
  const bool ended =
      loop_.run_while([&] { return !status_ || (linger && !told_to_end_ && !all_gone()); });
  return ended ? *status_ : exit_status::kOwnFailure;
}

void InitLoop::run_until(int fd) {
  look_at_children();
  bool readable = false;
  const EventLoop::Source source = loop_.watch(fd, POLLIN, [&readable](short) { readable = true; });
  (void)loop_.run_while([&] { return !status_ && !readable; });
}

void InitLoop::see_end_of_parent() {
  parent_ended_.reset();
  told_to_end_ = true;
  told_();
  if (status_) return;
  (void)with_identity_of(command_, kToSignal, [this] {
    return ::kill(command_, SIGKILL) == 0 ? Result<void>() : Errno::current();
  });
}

void InitLoop::read_signals() {
  std::array<signalfd_siginfo, GroupSignals::kAtOnce> infos;
  bool child_changed = false;
  bool all_read = false;
  for (int reads = 0; reads < kMostReadsInATurn && !all_read && !got_.full(); ++reads) {
    const ssize_t bytes = ::read(signals_.get(), infos.data(), sizeof(infos));
    const auto count = bytes < 0 ? 0 : static_cast<std::size_t>(bytes) / sizeof(signalfd_siginfo);
    all_read = count == 0;
    for (const signalfd_siginfo& info : std::span(infos).first(count)) {
      if (info.ssi_signo == SIGCHLD) {
        child_changed = true;
      } else {
        got_.add(info);
      }
    }
  }
  if (all_read) got_.all_added();
  if ((child_changed && !look_at_children()) || got_.full()) {
    signals_came_.pause_until(EventLoop::Clock::now() + kPause);
  }
}

/// Also where no SIGCHLD came: one that was pending when we set its action is gone, signal(7).
bool InitLoop::look_at_children() {
  const bool reaped = reap();
  const bool followed = group_.terminal().present() && follow_stop();
  return reaped || followed;
}

/// SIGHUP of a terminal that goes away is for the session's leader alone, and SIGCONT with it.
bool InitLoop::command_heard(const signalfd_siginfo& info, bool to_group) const {
  const bool from_terminal = is_from_terminal(info);
  if ((!from_terminal && !to_group) || ::getpgid(command_) != ::getpgrp()) return false;
  const bool for_leader = info.ssi_signo == SIGHUP || info.ssi_signo == SIGCONT;
  return !(from_terminal && for_leader && ::getsid(0) == getpid());
}

void InitLoop::pass_on(const signalfd_siginfo& info, bool to_group) {
  if (info.ssi_signo == SIGTTIN || info.ssi_signo == SIGTTOU) return;
  if (info.ssi_signo == SIGXCPU && info.ssi_code == SI_KERNEL) return;  // for our processor time
  if (!is_from_terminal(info) && !from_a_process(info) && !is_alarm(info)) return;
  if (status_) {
    // A signal for the group has reached those of the rest that are in the group.
    if (!to_group) pass_on_to_rest(info);
  } else if (!command_heard(info, to_group)) {
    if (signal_group_) {
      send_to_group(info);
    } else {
      send(command_, info);
    }
  }
}

void InitLoop::pass_on_to_rest(const signalfd_siginfo& info) {
  const Result<std::vector<pid_t>> left = scope_.processes();
  if (!left) return;  // whether any is left cannot be told
  for (const pid_t pid : *left) send(pid, info);
  if (!left->empty() || !asks_to_end(info)) return;
  told_to_end_ = true;
  told_();
}

void InitLoop::send_to_group(const signalfd_siginfo& info) const {
  send(-command_, info);
  // kill(2) is content with one member that may be signalled. The others, without CAP_KILL:
  const Result<std::vector<pid_t>> all = scope_.processes();
  if (!all) return;
  for (const pid_t pid : *all) {
    if (::getpgid(pid) == command_ && ::kill(pid, 0) != 0 && errno == EPERM) send(pid, info);
  }
}

bool InitLoop::reap() {
  reap_again_.cancel();
  for (int count = 0;; ++count) {
    const bool any = count != 0;
    if (count == kMostReapedInATurn) {
      reap_again_.set(EventLoop::Clock::now());
      return any;
    }
    siginfo_t seen{};
    if (::waitid(P_ALL, 0, &seen, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD) != 0 ||
        seen.si_pid == 0) {
      return any;
    }
    if (seen.si_code != CLD_EXITED && seen.si_code != CLD_KILLED && seen.si_code != CLD_DUMPED) {
      reap_again_.set(EventLoop::Clock::now() + kUntilReapedAgain);
      return any;
    }
    siginfo_t dead{};
    ::waitid(P_PID, static_cast<id_t>(seen.si_pid), &dead, WEXITED | WNOHANG | __WNOTHREAD);
    if (const auto other = std::ranges::find(others_, seen.si_pid, &OtherChild::pid);
        other != others_.end()) {
      // Which may have another one watched.
      const auto ended = std::move(other->ended);
      others_.erase(other);
      ended(seen);
      continue;
    }
    if (seen.si_pid != command_ || status_) continue;
    group_.leave(command_);
    status_ =
        seen.si_code == CLD_EXITED ? seen.si_status : exit_status::kSignalBase + seen.si_status;
    got_.dismiss_witness();
    told_();
  }
}

void InitLoop::watch_child(pid_t pid, std::function<void(const siginfo_t&)> ended) {
  others_.push_back({pid, std::move(ended)});
}

bool InitLoop::follow_stop() {
  siginfo_t seen{};
  if (status_ ||
      ::waitid(P_PID, static_cast<id_t>(command_), &seen, WSTOPPED | WNOHANG | WNOWAIT) != 0 ||
      seen.si_pid != command_ || seen.si_code != CLD_STOPPED) {
    return false;
  }
  if (getpid() == 1) {
    // No process could continue the command: as PID 1 it would not have been stopped by a key
    // either.
    if (seen.si_status == SIGTSTP) group_.resume(command_);
    return true;
  }
  stop_like(seen.si_status);
  group_.resume(command_);  // a SIGCONT for us is for the command, too
  return true;
}

}  // namespace shmvisor
