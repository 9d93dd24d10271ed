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
#include <utility>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/launch/command_watch.h"
#include "supervisor/launch/group_signals.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/process_group.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/scope/process_scope.h"

struct signalfd_siginfo;

namespace shmvisor {

class InitLoop : public CommandWatch {
 public:
  /// `signal_group`: signals are for the command's whole group, which is then its own. `scope`: the
  /// descendants of this process.
  InitLoop(EventLoop& loop, pid_t command, const ProcessGroup& group, bool signal_group,
           const sigset_t& watched, const ProcessScope& scope);

  /// Whether it can wait for signals and children.
  [[nodiscard]] bool valid() const override { return signals_.valid(); }
  /// For a command in our process group. The witness ends with the command.
  void use(std::unique_ptr<GroupWitness> witness) { got_.use(std::move(witness)); }
  void command_ends() override { got_.dismiss_witness(); }
  /// When the parent ends, the command is killed, and the loop ends with it. Borrowed.
  void end_with(const ParentWatch& parent);
  int run(bool linger, const std::function<bool()>& all_gone) override;
  void run_until(int fd) override;

  // Of a keeper, which turns the loop by itself:

  /// `told`: the command has ended, or a signal asks to end when nobody is left.
  void tell(std::function<void()> told) { told_ = std::move(told); }
  [[nodiscard]] const std::optional<int>& status() const { return status_; }
  [[nodiscard]] bool told_to_end() const { return told_to_end_; }
  /// Another child; `ended` is called once it is reaped.
  void watch_child(pid_t pid, std::function<void(const siginfo_t&)> ended);
  /// The command had ended before, with this status.
  void begin_ended(int status) { status_ = status; }
  /// This program is about to be replaced: nothing that was read is lost, and no process is left.
  void leave() { got_.leave(); }
  /// Of the witness; -1 without one.
  [[nodiscard]] int witness_fd() const { return got_.witness_fd(); }
  /// Looks for children that have ended or stopped already.
  void look() { look_at_children(); }

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
  std::function<void()> told_ = [] {};
  struct OtherChild {
    pid_t pid;
    std::function<void(const siginfo_t&)> ended;
  };
  std::vector<OtherChild> others_;
  EventLoop::Source parent_ended_;
  /// Paused for a moment after a SIGCHLD that told of a ptrace-stop only.
  EventLoop::Source signals_came_;
  /// While a child is held in a ptrace-stop and hides the ones behind it, or many have ended.
  EventLoop::Timer reap_again_;
  GroupSignals got_;
};

}  // namespace shmvisor
