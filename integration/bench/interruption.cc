#include "integration/bench/interruption.h"

#include <signal.h>

#include <atomic>

namespace shmvisor {
namespace {

std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler stores it");

void remember(int signal_number) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal_number);
}

}  // namespace

void catch_interruptions() {
  struct sigaction action {};
  action.sa_handler = remember;  // without SA_RESTART: poll and nanosleep are to end
  ::sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(number, &action, &before);
    if (before.sa_handler == SIG_IGN) ::sigaction(number, &before, nullptr);  // nohup(1)
  }
}

int interruption() { return first_signal.load(); }

}  // namespace shmvisor
