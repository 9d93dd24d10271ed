#include "supervisor/launch/process_group.h"

#include <unistd.h>

#include <csignal>

namespace shmvisor {

ProcessGroup::ProcessGroup(bool own) : own_(own || (getpid() == 1 && terminal_.present())) {}

void ProcessGroup::enter() const {
  if (!own_) return;
  const bool foreground = terminal_.is_with(::getpgrp());
  if (::setpgid(0, 0) == 0 && foreground) terminal_.hand_to(::getpid());
}

void ProcessGroup::resume(pid_t command) const {
  if (!own_) {
    ::kill(command, SIGCONT);
    return;
  }
  if (terminal_.is_with(::getpgrp())) terminal_.hand_to(command);
  ::kill(-command, SIGCONT);
}

void ProcessGroup::leave(pid_t command) const {
  if (own_ && terminal_.is_with(command)) terminal_.hand_to(::getpgrp());
}

}  // namespace shmvisor
