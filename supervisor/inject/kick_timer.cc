#include "supervisor/inject/kick_timer.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "supervisor/inject/arch/seize_call.h"
#include "supervisor/inject/kick_thread.h"

namespace shmvisor {
namespace {

void (*g_pass_on)(int signal_number) = nullptr;
thread_local std::atomic<bool> t_kick_is_due{false};

/// The process that sent it; 0 where the signal does not say, since our user's queue of signals was
/// full; -1 where the kernel sent it.
pid_t sender_of(const siginfo_t& info) {
  return info.si_code == SI_USER || info.si_code == SI_TKILL ? info.si_pid : -1;
}

void handle_kick(int signal_number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  // A kick that finds somebody else's signal pending is merged with it: one signal is both then.
  const bool was_due = t_kick_is_due.exchange(false);
  const pid_t sender = sender_of(*info);
  const bool is_ours = sender == ::getpid() || (sender == 0 && was_due);
  if (is_ours || was_due) skip_seize_call(context);
  if (!is_ours && g_pass_on != nullptr) g_pass_on(signal_number);
  errno = saved_errno;
}

}  // namespace

KickTarget KickTarget::of_this_thread() { return {gettid(), t_kick_is_due}; }

void KickTarget::kick() const {
  is_due_->store(true);
  if (::syscall(SYS_tgkill, ::getpid(), tid_, KickTimer::signal_number()) != 0) {
    is_due_->store(false);
  }
}

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

void KickTimer::keep_ready() { (void)KickThread::current(); }

bool KickTimer::arm(std::chrono::milliseconds patience) {
  KickThread* const thread = KickThread::current();
  if (thread == nullptr) return false;
  if (known_to_ != thread->number()) {
    target_ = KickTarget::of_this_thread();
    if (!thread->add(*this)) return false;
    known_to_ = thread->number();
  }
  const std::int64_t period = std::chrono::nanoseconds(patience).count();
  const std::int64_t due = KickThread::now() + period;
  period_.store(period, std::memory_order_relaxed);
  due_.store(due);
  thread->wake_by(due);
  return true;
}

KickTimer::~KickTimer() {
  if (known_to_ != 0) KickThread::forget(*this, known_to_);
}

}  // namespace shmvisor
