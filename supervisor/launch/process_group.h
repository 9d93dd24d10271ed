// ProcessGroup: whether the command has a process group of its own, and who has the terminal.
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
  /// The command's group has stopped and so have we, and we go on: it gets back what it had.
  void resume(pid_t command) const;
  /// The command has ended: the terminal is ours again, if it was.
  void leave(pid_t command) const;

 private:
  const Terminal terminal_;
  const bool own_;
};

}  // namespace shmvisor
