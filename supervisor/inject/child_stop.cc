#include "supervisor/inject/child_stop.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

#include "supervisor/inject/bounded_seize.h"
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
  if (const auto seized = seize_within(parent, kOptions, kSeizePatience); !seized) {
    return seized.error();
  }
  return ChildStop(parent);
}

ChildStop::ChildStop(ChildStop&& other) noexcept
    : parent_(other.parent_), attached_(std::exchange(other.attached_, false)) {}

ChildStop::~ChildStop() {
  if (attached_) PtraceStop::adopt(parent_).abandon();
}

std::optional<PtraceStop> ChildStop::wait_for_child() {
  auto deadline = Clock::now() + kUntilAsked;
  for (bool asked = false;;) {
    if (wait_for_news_until(deadline)) {
      const auto child = look_at_news();
      if (!child) return std::nullopt;
      if (*child == 0) continue;
      let_go();
      auto stop = PtraceStop::adopt(*child);
      if (!stop.wait_until_stopped()) return std::nullopt;
      return stop;
    }
    if (std::exchange(asked, true)) return std::nullopt;  // and given up
    if (ptrace_value(PTRACE_INTERRUPT, parent_, 0, 0) != 0) return std::nullopt;
    deadline = Clock::now() + kUntilGivenUp;
  }
}

bool ChildStop::wait_for_news_until(Clock::time_point deadline) const {
  for (auto pause = kFirstPause; !has_news(parent_); pause = std::min(2 * pause, kLongestPause)) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

std::optional<pid_t> ChildStop::look_at_news() {
  siginfo_t news{};
  const bool stopped = wait_for_news(parent_, news) == 0 &&
                       (news.si_code == CLD_TRAPPED || news.si_code == CLD_STOPPED);
  const int event = stopped ? news.si_status >> kEventShift : 0;
  unsigned long child = 0;
  if (is_birth(event) && ptrace_pointer(PTRACE_GETEVENTMSG, parent_, 0, &child) == 0) {
    return static_cast<pid_t>(child);
  }
  // A signal that it is about to take, before its call or after it.
  const auto signal = static_cast<std::uint64_t>(news.si_status);
  if (stopped && event == 0 && ptrace_value(PTRACE_CONT, parent_, 0, signal) == 0) return 0;
  let_go();
  return std::nullopt;
}

void ChildStop::let_go() {
  if (!std::exchange(attached_, false)) return;
  if (ptrace_value(PTRACE_DETACH, parent_, 0, 0) == 0) return;
  // It has died, or runs again because somebody kills it.
  (void)PtraceStop::adopt(parent_).release();
}

}  // namespace shmvisor
