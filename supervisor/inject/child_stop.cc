#include "supervisor/inject/child_stop.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

#include "supervisor/inject/ptrace_request.h"
#include "supervisor/inject/tracee_news.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kOptions = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
constexpr std::chrono::milliseconds kSeizePatience(20);
/// Of a clone, which takes a fraction of that: copying a large memory map comes after the point at
/// which it would be given up.
constexpr std::chrono::milliseconds kUntilAsked(10);
constexpr std::chrono::seconds kUntilGivenUp(2);
/// A clone takes a moment. Where none comes of it, looks cost others more than the wait does.
constexpr std::chrono::microseconds kFirstPause(50);
constexpr std::chrono::microseconds kLongestPause(1000);
constexpr int kEventShift = 8;

bool is_birth(int event) {
  return event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK;
}

}  // namespace

Result<ChildStop> ChildStop::expect_of(pid_t parent) {
  auto attached = AttachedThread::attach(parent, kSeizePatience, kOptions);
  if (!attached) return attached.error();
  return ChildStop(std::move(*attached));
}

std::optional<StoppedThread> ChildStop::wait_for_child() {
  auto deadline = Clock::now() + kUntilAsked;
  for (bool asked = false;;) {
    if (wait_for_news_until(deadline)) {
      const auto child = look_at_news();
      if (!child) return std::nullopt;
      if (*child == 0) continue;
      parent_.let_go();
      auto stopped = AttachedThread::adopt(*child).wait_until_stopped();
      if (!stopped) return std::nullopt;
      return std::move(*stopped);
    }
    if (std::exchange(asked, true)) return std::nullopt;  // and given up
    if (!parent_.interrupt()) {
      Tracee::abandon_unknown_one();
      return std::nullopt;
    }
    deadline = Clock::now() + kUntilGivenUp;
  }
}

bool ChildStop::wait_for_news_until(Clock::time_point deadline) const {
  for (auto pause = kFirstPause; !parent_.has_news(); pause = std::min(2 * pause, kLongestPause)) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

std::optional<pid_t> ChildStop::look_at_news() {
  siginfo_t news{};
  const bool stopped = wait_for_news(parent_.tid(), news) == 0 &&
                       (news.si_code == CLD_TRAPPED || news.si_code == CLD_STOPPED);
  const int event = stopped ? news.si_status >> kEventShift : 0;
  unsigned long child = 0;
  if (is_birth(event) && ptrace_pointer(PTRACE_GETEVENTMSG, parent_.tid(), 0, &child) == 0) {
    return static_cast<pid_t>(child);
  }
  // A signal that it is about to take, before its call or after it.
  const auto signal = static_cast<std::uint64_t>(news.si_status);
  if (stopped && event == 0 && ptrace_value(PTRACE_CONT, parent_.tid(), 0, signal) == 0) return 0;
  // A parent that died, now or before it could be asked for its child, may have made one.
  if (!stopped || is_birth(event)) Tracee::abandon_unknown_one();
  parent_.let_go();
  return std::nullopt;
}

}  // namespace shmvisor
