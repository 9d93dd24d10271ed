// InitLoop: the main thread's part while the command runs. It turns the event loop, in which it
// waits for signals and passes them on, reaps the command and every orphan, and follows the command
// into a job-control stop.
//
// Serving threads ptrace processes that may be children of ours, and the kernel shows a tracer's
// process every stop of such a child (wait_consider_task() of kernel/exit.c). So nothing here waits
// but for what a look without consuming it (WNOWAIT) showed to be a death.
//
// Signals: those for a process group that the command shares with us, from the terminal or from
// another process (GroupSignals), reach the command by themselves. Every other signal is passed on,
// to the command or to its process group; except SIGTTIN and SIGTTOU, which concern only the
// receiver's own use of the terminal. When the command has ended, its descendants that are below us
// get the signals: orphans are there where we are PID 1 or a subreaper. Where none is left, signals
// that ask to end end the loop. A command that became another user gets signals too, also without
// CAP_KILL (BorrowedIdentity). A signal that is passed on names us as its sender, except one of
// sigqueue(3): the kernel lets no process name another sender in a signal of kill(2).
//
// Ownership: borrows the loop and all other arguments. Thread rule: the main thread, which waits
// for children and orphans.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/launch/group_signals.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/process_group.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/scope/process_scope.h"

struct signalfd_siginfo;

namespace shmvisor {

class InitLoop {
 public:
  /// `signal_group`: signals are for the command's whole group, which is then its own. `scope`: the
  /// descendants of this process.
  InitLoop(EventLoop& loop, pid_t command, const ProcessGroup& group, bool signal_group,
           const sigset_t& watched, const ProcessScope& scope);

  /// Whether it can wait for signals and children. Precondition of all other members.
  [[nodiscard]] bool valid() const { return signals_.valid(); }
  /// For a command in our process group. The witness ends with the command.
  void use(std::unique_ptr<GroupWitness> witness) { got_.use(std::move(witness)); }
  /// The command has begun to end: no signal matters to it any more.
  void command_ends() { got_.dismiss_witness(); }
  /// When the parent ends, the command is killed, and the loop ends with it. Borrowed.
  void end_with(const ParentWatch& parent);
  /// Runs until the command has ended and, with `linger`, until `all_gone` answers true; it is
  /// asked after each turn of the loop. Answers the command's exit status as in exit_status.h.
  int run(bool linger, const std::function<bool()>& all_gone);
  /// Runs until the descriptor is readable, or the command has ended. Before run().
  void run_until(int fd);

 private:
  void see_end_of_parent();
  void read_signals();
  /// `to_group`: the signal was for our whole process group.
  void pass_on(const signalfd_siginfo& info, bool to_group);
  void pass_on_to_rest(const signalfd_siginfo& info);
  /// These three answer whether there was anything to do.
  bool look_at_children();
  bool reap();
  bool follow_stop();
  [[nodiscard]] bool command_heard(const signalfd_siginfo& info, bool to_group) const;
  void send_to_group(const signalfd_siginfo& info) const;

  EventLoop& loop_;
  const pid_t command_;
  const ProcessGroup& group_;
  const bool signal_group_;
  const ProcessScope& scope_;
  const UniqueFd signals_;
  std::optional<int> status_;
  bool told_to_end_ = false;
  EventLoop::Source parent_ended_;
  /// Paused for a moment after a SIGCHLD that told of a ptrace-stop only.
  EventLoop::Source signals_came_;
  /// While a child is held in a ptrace-stop and hides the ones behind it, or many have ended.
  EventLoop::Timer reap_again_;
  GroupSignals got_;
};

}  // namespace shmvisor
