#include "supervisor/launch/inherited_state.h"

#include <initializer_list>

#include "supervisor/inject/kick_timer.h"

namespace shmvisor {

InheritedState::InheritedState(const ProcessGroup& group) : group_(group) {
  sigfillset(&watched_);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
    sigdelset(&watched_, fault);
  }
  pthread_sigmask(SIG_BLOCK, &watched_, &mask_);
  // Ignored, as we may have inherited it, the kernel would reap the command before we look.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &by_default, &child_action_);
  sigaction(KickTimer::signal_number(), nullptr, &kick_action_);
  getrlimit(RLIMIT_NOFILE, &descriptors_);
}

void InheritedState::raise_descriptor_limit() const {
  rlimit most = descriptors_;
  most.rlim_cur = most.rlim_max;
  setrlimit(RLIMIT_NOFILE, &most);
}

void InheritedState::restore() const {
  group_.enter();  // while SIGTTOU is blocked
  sigaction(SIGCHLD, &child_action_, nullptr);
  sigaction(KickTimer::signal_number(), &kick_action_, nullptr);
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace shmvisor
