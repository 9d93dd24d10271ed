#include "supervisor/launch/inherited_state.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "supervisor/inject/kick_timer.h"

namespace shmvisor {

InheritedState::InheritedState(const ProcessGroup& group, AtOurDeath at_our_death)
    : group_(group), variables_(::environ), death_signal_(SIGKILL) {
  // Faults of our own end us though they are blocked (force_sig_info_to_task() of
  // kernel/signal.c); what others send by those numbers is for the command.
  sigfillset(&watched_);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // A sanitizer reports in its handlers.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
    sigdelset(&watched_, fault);
  }
#endif
  pthread_sigmask(SIG_BLOCK, &watched_, &mask_);
  // Ignored, as we may have inherited it, the kernel would reap the command before we look.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &by_default, &child_action_);
  sigaction(KickTimer::signal_number(), nullptr, &kick_action_);
  if (at_our_death == AtOurDeath::kLeaveCommand) ::prctl(PR_GET_PDEATHSIG, &death_signal_);
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper_);
}

void InheritedState::restore() const {
  group_.enter();  // while SIGTTOU is blocked
  sigaction(SIGCHLD, &child_action_, nullptr);
  sigaction(KickTimer::signal_number(), &kick_action_, nullptr);
  limits_.restore();
  ::prctl(PR_SET_CHILD_SUBREAPER, subreaper_, 0, 0, 0);
  // A change of user namespace may have taken it back.
  ::prctl(PR_SET_PDEATHSIG, death_signal_, 0, 0, 0);
  ::environ = variables_.renamed();
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace shmvisor
