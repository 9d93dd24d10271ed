#include "supervisor/launch/ending_signals.h"

#include <pthread.h>
#include <unistd.h>

#include "supervisor/launch/exit_status.h"

namespace shmvisor {

EndingSignals::EndingSignals(const sigset_t& mask) {
  sigset_t ending;
  sigemptyset(&ending);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN || sigismember(&mask, kSignals[i]) != 0) continue;
    struct sigaction action {};
    action.sa_handler = [](int signal) { ::_exit(exit_status::kSignalBase + signal); };
    sigaction(kSignals[i], &action, nullptr);
    sigaddset(&ending, kSignals[i]);
  }
  pthread_sigmask(SIG_UNBLOCK, &ending, &mask_before_);
}

EndingSignals::~EndingSignals() {
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

}  // namespace shmvisor
