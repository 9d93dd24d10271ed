#include "supervisor/session/orphan_cleanup.h"

#include <utility>

namespace shmvisor {

using Clock = EventLoop::Clock;

OrphanCleanup::OrphanCleanup(EventLoop& loop, std::function<Sessions()> sessions)
    : sessions_(std::move(sessions)), look_again_(loop.timer([this] { look(); })) {
  look_again_.set(Clock::now() + kBetweenLooks);
}

void OrphanCleanup::look() {
  look_again_.set(Clock::now() + kBetweenLooks);
  // While a search takes longer no other begins. Each session is released before the task has
  // ended.
  (void)looking_.start([some = sessions_(), all = searches_]() mutable {
    std::map<std::uint32_t, OrphanSearch> searches;
    for (auto& session : some) {
      auto search = all->extract(session->number());
      auto& own = search ? searches.insert(std::move(search)).position->second
                         : searches[session->number()];
      own.look(session->registries());
      session.reset();
    }
    *all = std::move(searches);  // without those of sessions that have ended
  });
}

bool OrphanCleanup::wait_for_end(std::chrono::milliseconds bound) {
  look_again_.cancel();
  return looking_.wait_for_end(bound);
}

}  // namespace shmvisor
