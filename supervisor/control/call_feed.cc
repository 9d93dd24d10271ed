#include "supervisor/control/call_feed.h"

#include <algorithm>
#include <array>
#include <utility>

#include "supervisor/control/call_line.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

constexpr std::size_t kMostAtOnce = 256;

}  // namespace

CallFeed::CallFeed(EventLoop& loop, CallRing& ring, KnownSessions sessions, Deliver deliver)
    : ring_(ring),
      sessions_(std::move(sessions)),
      deliver_(std::move(deliver)),
      look_again_(loop.timer([this] { look(); })),
      woken_(loop, [this] { look_again_.set_by(Clock::now() + kBetweenLooks); }) {}

void CallFeed::follow(bool wanted) {
  if (wanted == std::exchange(wanted_, wanted)) return;
  if (!wanted) {
    ring_.close();
    return;
  }
  ring_.open(woken_.nudger());
  // What is left of those who followed before is not for those who follow now.
  std::vector<CallEvent> old(kMostAtOnce);
  while (ring_.take(old) != 0) {
  }
  (void)ring_.take_lost();
  if (!ring_.may_sleep()) look_again_.set_by(Clock::now());
}

void CallFeed::look() {
  if (take_some()) {
    look_again_.set_by(Clock::now() + kBetweenLooks);
  } else if (!ring_.may_sleep()) {
    look_again_.set_by(Clock::now());
  }
}

bool CallFeed::take_some() {
  std::vector<CallEvent> events(kMostAtOnce);
  std::vector<std::string> lines;
  std::vector<NamedSession> sessions;
  // As many as the ring holds: those that come meanwhile are for the next look.
  for (std::size_t taken = 0; taken < CallRing::kMostEvents;) {
    const std::size_t count = ring_.take(events);
    if (count == 0) break;
    taken += count;
    if (sessions.empty()) sessions = sessions_();
    for (std::size_t at = 0; at < count; ++at) {
      const CallEvent& event = events[at];
      const auto session = std::ranges::find_if(sessions, [&event](const NamedSession& one) {
        return one.session->number() == event.session;
      });
      const std::string main = session == sessions.end() ? "ended" : session->name;
      lines.push_back(call_line(event, registry_name(main, event.ipc_namespace)));
    }
  }
  const std::uint64_t lost = ring_.take_lost();
  if (lines.empty() && lost == 0) return false;
  if (wanted_) deliver_(lines, lost);
  return true;
}

void CallFeed::drain() {
  while (take_some()) {
  }
}

}  // namespace shmvisor
