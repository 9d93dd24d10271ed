#include "supervisor/session/upkeep.h"

#include <algorithm>
#include <utility>

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

constexpr std::chrono::milliseconds kBeforeGoingOn(5);
/// The time for segments in each look.
constexpr std::chrono::milliseconds kLongLook(10);

}  // namespace

Upkeep::Upkeep(EventLoop& loop, std::shared_ptr<SessionResources> resources)
    : resources_(std::move(resources)),
      some_released_(loop.watch(resources_->machine.release_events.fd(), POLLIN,
                                [this](short) { see_releases(); })),
      look_again_(loop.timer([this] { look(); })),
      go_on_(loop.timer([this] { see_releases(); })),
      sweep_soon_(loop.timer([this] { sweep_left_ones(); })),
      need_begins_(loop, [this] { see_need(); }) {
  if (!need_begins_.valid()) expect_look();
}

void Upkeep::add(const std::shared_ptr<Session>& session) {
  session->tell_of_need(need_begins_.nudger());
  sessions_.push_back(session);
}

Upkeep::Sessions Upkeep::sessions() {
  Sessions alive;
  alive.reserve(sessions_.size());
  std::erase_if(sessions_, [&alive](const auto& known) {
    if (auto session = known.lock()) {
      alive.push_back(std::move(session));
      return false;
    }
    return true;
  });
  return alive;
}

bool Upkeep::settle(const Sessions& some) {
  const auto late = Clock::now() + kLongLook;
  for (const auto& session : some) {
    if (Clock::now() >= late) {
      const auto is_it = [&session](const auto& known) { return known.lock() == session; };
      std::rotate(sessions_.begin(), std::ranges::find_if(sessions_, is_it), sessions_.end());
      return false;
    }
    session->settle();
  }
  return true;
}

void Upkeep::see_releases() {
  // The timer stays set if memory runs out: events that were taken do not make the loop call again.
  go_on_.set_by(Clock::now() + kBeforeGoingOn);
  resources_->machine.release_events.pump();
  const auto has_news = [](const auto& session) { return session->has_news(); };
  Sessions with_news = sessions();
  std::erase_if(with_news, [&](const auto& session) { return !has_news(session); });
  if (settle(with_news) && std::ranges::none_of(with_news, has_news)) go_on_.cancel();
}

void Upkeep::see_need() {
  expect_look();
  const auto has_left = [](const auto& session) { return session->has_left_namespace(); };
  if (std::ranges::any_of(sessions(), has_left)) {
    sweep_soon_.set_by(std::max(Clock::now(), swept_at_ + kBetweenSweeps));
  }
  see_releases();  // another session may have taken the news from the loop
}

void Upkeep::expect_look() { look_again_.set_by(Clock::now() + kBetweenLooks); }

void Upkeep::look() {
  Sessions settled = sessions();
  Sessions swept = settled;
  std::erase_if(settled, [](const auto& session) { return !session->needs_settling(); });
  std::erase_if(swept, [](const auto& session) { return !session->needs_sweeping(); });
  // Without nudges the need can only be found by looking.
  if (!settled.empty() || !swept.empty() || !need_begins_.valid()) expect_look();
  settle(settled);
  sweep(std::move(swept));
}

void Upkeep::sweep(Sessions some) {
  if (some.empty()) return;
  swept_at_ = Clock::now();
  // Each session is released before the task counts as ended.
  (void)sweeping_.start([some = std::move(some)]() mutable {
    for (auto& session : some) {
      session->sweep();
      session.reset();
    }
  });
}

void Upkeep::sweep_left_ones() {
  Sessions left = sessions();
  std::erase_if(left, [](const auto& session) { return !session->has_left_namespace(); });
  sweep(std::move(left));
}

bool Upkeep::wait_for_end(std::chrono::milliseconds bound) {
  for (const auto& session : sessions()) session->stop_sweeping();
  return sweeping_.wait_for_end(bound);
}

}  // namespace shmvisor
