// ProcessGroup: whether the command has a process group of its own, and which group has the
// terminal.
//
// Under a shell the command stays in our group: the shell made one for us, and the terminal's keys
// reach both. As PID 1 of a container with a terminal there is no shell: there, and where it is
// asked for, the command leads a group of its own, in the foreground, so that Ctrl-C is its alone.
//
// Thread rule: the main thread; enter() in the forked child, async-signal-safe.
#pragma once

#include <sys/types.h>

#include "supervisor/launch/terminal.h"

namespace shmvisor {

class ProcessGroup {
 public:
  /// `own`: asked for.
  explicit ProcessGroup(bool own);

  /// In the child, before its exec.
  void enter() const;

  [[nodiscard]] const Terminal& terminal() const { return terminal_; }
  [[nodiscard]] bool own() const { return own_; }
  /// After a stop of the command's group and of ours, when we go on: the command's group goes on,
  /// with the terminal if it had it.
  void resume(pid_t command) const;
  /// The command has ended: takes the terminal back, if it was ours.
  void leave(pid_t command) const;

 private:
  const Terminal terminal_;
  const bool own_;
};

}  // namespace shmvisor
