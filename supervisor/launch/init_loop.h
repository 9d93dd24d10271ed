// InitLoop: the main thread's part while the command runs. It waits for signals and passes them on,
// reaps the command and every orphan, follows the command into a job-control stop, and does what
// else there is to do (Chores).
//
// Serving threads ptrace processes that may be children of ours, and the kernel shows a tracer's
// process every stop of such a child (wait_consider_task() of kernel/exit.c). So nothing here waits
// but for what a look without consuming it (WNOWAIT) showed to be a death.
//
// Signals: those for a process group in which the command is with us, from the terminal or from
// another process (GroupWitness), reach the command by themselves; every other one is passed on, to
// it or to its process group, but for SIGTTIN and SIGTTOU, which are between a process and its own
// use of the terminal. When the command has ended, what is left of it below us gets them: orphans
// are there where we are PID 1, or a subreaper. Where none is left, those that ask to end end the
// loop. A command that became another user gets them as well, also without CAP_KILL
// (BorrowedIdentity). What is sent on says that we sent it, but for sigqueue(3): the kernel lets
// nobody speak for others in a signal of kill(2).
//
// Thread rule: the main thread: children and orphans are its.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/launch/chores.h"
#include "supervisor/launch/group_witness.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/process_group.h"
#include "supervisor/scope/process_scope.h"

struct signalfd_siginfo;

namespace shmvisor {

class InitLoop {
 public:
  /// `signal_group`: signals are for the command's whole group, which is then its own. `scope`: the
  /// descendants of this process.
  InitLoop(pid_t command, const ProcessGroup& group, bool signal_group, const sigset_t& watched,
           const ProcessScope& scope, Chores& chores);

  /// Whether it can wait for signals and children at all. Precondition of all else.
  [[nodiscard]] bool valid() const { return signals_.valid(); }
  /// Where the command is in our process group. It ends with the command.
  void use(std::unique_ptr<GroupWitness> witness) { witness_ = std::move(witness); }
  /// When the parent ends, the command is killed, and the loop ends with it. Borrowed.
  void end_with(const ParentWatch& parent) { parent_ = &parent; }
  /// Until the command and, when `linger`, the last supervised process have ended. The command's
  /// exit status in the terms of exit_status.h.
  int run(bool linger);
  /// Until the descriptor is readable, or the command has ended. Before run().
  void run_until(int fd);

 private:
  /// Waits for something to happen, at `fd` or elsewhere, and sees to it. False where poll(2)
  /// failed.
  bool turn(int fd = -1);
  void look_at_parent();
  void read_signals();
  /// `to_group`: to all of our process group.
  void pass_on(const signalfd_siginfo& info, bool to_group);
  void pass_on_to_rest(const signalfd_siginfo& info);
  /// These three answer whether there was anything to see to.
  bool look_at_children();
  bool reap();
  bool follow_stop();
  /// Whether one of those for our group was meant for this signal that we got.
  bool was_for_group(const signalfd_siginfo& info);
  [[nodiscard]] bool command_heard(const signalfd_siginfo& info, bool to_group) const;
  void send_to_group(const signalfd_siginfo& info) const;

  const pid_t command_;
  const ProcessGroup& group_;
  const bool signal_group_;
  const ProcessScope& scope_;
  Chores& chores_;
  UniqueFd signals_;
  std::unique_ptr<GroupWitness> witness_;
  const ParentWatch* parent_ = nullptr;
  /// Signals for the group that the witness told of and we have not come to yet.
  std::vector<GroupWitness::Heard> for_group_;
  std::vector<pollfd> waiting_;
  std::optional<int> status_;
  bool told_to_end_ = false;
  /// A child is held in a ptrace-stop and hides the ones behind it: look again soon.
  bool reap_again_ = false;
  /// A SIGCHLD told of a ptrace-stop only: signals are not waited for, but for a moment.
  bool pausing_ = false;
};

}  // namespace shmvisor
