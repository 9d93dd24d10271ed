#include "supervisor/inject/kick_timer.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>

#include "supervisor/inject/arch/seize_call.h"

namespace shmvisor {
namespace {

void (*g_pass_on)(int signal_number) = nullptr;

void handle_kick(int signal_number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool ours = info->si_code == SI_TIMER ||
                    (info->si_code == SI_TKILL && info->si_pid == ::getpid());  // ReceiverPool's
  if (ours) {
    skip_seize_call(context);
  } else if (g_pass_on != nullptr) {
    g_pass_on(signal_number);
  }
  errno = saved_errno;
}

}  // namespace

void KickTimer::install_handler(void (*pass_on)(int signal_number)) {
  g_pass_on = pass_on;
  struct sigaction action {};
  action.sa_sigaction = handle_kick;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: ending a wait is the point
  sigemptyset(&action.sa_mask);
  sigaction(signal_number(), &action, nullptr);
}

void KickTimer::allow_on_this_thread() {
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, signal_number());
  pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);
}

KickTimer::KickTimer() { create(); }

void KickTimer::create() {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_number();
  event._sigev_un._tid = gettid();
  timer_t made{};
  if (timer_create(CLOCK_MONOTONIC, &event, &made) == 0) timer_ = made;
}

KickTimer::~KickTimer() {
  if (timer_) timer_delete(*timer_);
}

void KickTimer::arm(std::chrono::milliseconds patience) {
  // Each timer takes a place in our user's queue of signals (RLIMIT_SIGPENDING), which others of
  // that user may have filled, then.
  if (!timer_) create();
  if (!timer_) return;
  // It repeats: the first kick may come just before the wait begins.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
  const std::chrono::nanoseconds rest = patience - seconds;
  const timespec period{seconds.count(), rest.count()};
  const itimerspec repeated{period, period};
  timer_settime(*timer_, 0, &repeated, nullptr);
}

void KickTimer::disarm() {
  if (!timer_) return;
  const itimerspec never{};
  timer_settime(*timer_, 0, &never, nullptr);
}

}  // namespace shmvisor
