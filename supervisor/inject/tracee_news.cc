#include "supervisor/inject/tracee_news.h"

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "policy/base/held_locks.h"
#include "supervisor/inject/kick_timer.h"

namespace shmvisor {
namespace {

/// What to wait for, without consuming it.
constexpr int kNews = WSTOPPED | WEXITED | __WALL | __WNOTHREAD | WNOWAIT;

/// Between looks where nothing would kick us out of a wait.
constexpr std::chrono::milliseconds kBetweenLooks(1);

/// The kicks of this thread.
class Kicks {
 public:
  static Kicks& of_this_thread() {
    thread_local Kicks kicks;
    return kicks;
  }

  void arm(std::chrono::milliseconds patience = KickTimer::kPatience) {
    can_be_had_ = timer_.arm(patience);
  }
  void disarm() { timer_.disarm(); }
  /// waitid(2) until a kick comes: EINTR. Where none would come it ends soon all the same.
  [[nodiscard]] int wait(idtype_t type, pid_t id, siginfo_t& info, int events) const {
    HeldLocks::assert_may_wait();
    info = {};
    if (can_be_had_) return wait_once(type, id, info, events);
    const int error = wait_once(type, id, info, events | WNOHANG);
    if (error != 0 || info.si_pid != 0) return error;
    std::this_thread::sleep_for(kBetweenLooks);
    return EINTR;
  }

 private:
  static int wait_once(idtype_t type, pid_t id, siginfo_t& info, int events) {
    return ::waitid(type, static_cast<id_t>(id), &info, events) == 0 ? 0 : errno;
  }

  KickTimer timer_;
  bool can_be_had_ = true;
};

/// Of a wait that kicks end: those that were meant for another one do not end it for good.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds first_kick)
      : at_(Clock::now() + KickTimer::kPatience) {
    Kicks::of_this_thread().arm(first_kick);
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { Kicks::of_this_thread().disarm(); }
  [[nodiscard]] bool over() const { return Clock::now() >= at_; }
  /// Precondition: it is not over.
  void kick_then() const {
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(at_ - Clock::now());
    Kicks::of_this_thread().arm(std::max(rest, std::chrono::milliseconds(1)));
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point at_;
};

bool is_stop(const siginfo_t& info) {
  return info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED;
}

}  // namespace

int wait_for_news(pid_t tid, siginfo_t& info) {
  // A wait for this tid alone would never end where the thread leads its group and another thread
  // of it execs: the kernel gives the leader's tid away before it wakes us (de_thread() of
  // fs/exec.c, seen on Linux 6.18). A wait for everything we trace is woken.
  Kicks& kicks = Kicks::of_this_thread();
  if (const int error = kicks.wait(P_ALL, 0, info, kNews); error != 0) return error;
  if (info.si_pid == tid) return 0;
  // Something else that this thread traced and that the init loop has not reaped yet. As this may
  // be the wait that never ends, look again after a while.
  kicks.arm();
  const int error = kicks.wait(P_PID, tid, info, kNews);
  kicks.disarm();
  return error;
}

int wait_a_while_for_news(pid_t tid, siginfo_t& info,
                          const std::function<void()>& before_long_wait) {
  // On the CPU that it shares with us it has mostly run already, and needs no timer.
  if (::waitid(P_PID, static_cast<id_t>(tid), &info, kNews | WNOHANG) == 0 && info.si_pid != 0) {
    return 0;
  }
  const Deadline deadline(before_long_wait ? KickTimer::kSoon : KickTimer::kPatience);
  int error = wait_for_news(tid, info);
  for (bool told = !before_long_wait; error == EINTR && !deadline.over();) {
    if (!std::exchange(told, true)) before_long_wait();
    deadline.kick_then();
    error = wait_for_news(tid, info);
  }
  if (error != EINTR) return error;
  // Perhaps this process did not run, while a shell had stopped our job.
  info = {};
  if (::waitid(P_PID, static_cast<id_t>(tid), &info, kNews | WNOHANG) != 0) return errno;
  return info.si_pid != 0 ? 0 : EINTR;
}

bool reap_within_bound(pid_t tid) {
  const Deadline deadline(KickTimer::kPatience);
  siginfo_t info{};
  constexpr int kEnd = WEXITED | __WALL | __WNOTHREAD;
  while (Kicks::of_this_thread().wait(P_PID, tid, info, kEnd) == EINTR) {
    if (deadline.over()) return false;
    deadline.kick_then();
  }
  return true;
}

bool has_news(pid_t tid) {
  siginfo_t info{};
  const int waited = ::waitid(P_PID, static_cast<id_t>(tid), &info, kNews | WNOHANG);
  return waited != 0 || info.si_pid != 0;
}

void consume_stop(pid_t tid) {
  siginfo_t info{};
  (void)::waitid(P_PID, static_cast<id_t>(tid), &info, WSTOPPED | __WALL | __WNOTHREAD | WNOHANG);
}

bool wait_for_end(pid_t tid, const std::function<bool()>& stopped) {
  siginfo_t info{};
  bool lives = false;
  Kicks::of_this_thread().arm();
  while (!lives) {
    const int error = wait_for_news(tid, info);
    if (error == EINTR) continue;
    if (error != 0 || !is_stop(info)) break;
    consume_stop(tid);
    lives = stopped();
  }
  Kicks::of_this_thread().disarm();
  return !lives;
}

}  // namespace shmvisor
