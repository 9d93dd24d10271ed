#include "supervisor/launch/serving_upkeep.h"

#include <chrono>

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks(1000);
/// With what one look left undone.
constexpr std::chrono::milliseconds kBeforeGoingOn(5);

}  // namespace

ServingUpkeep::ServingUpkeep(EventLoop& loop, const Charges& charges)
    : charges_(charges),
      listener_ended_(loop.watch(charges.listener.fd(), 0,
                                 [this](short) {
                                   ended_ = true;
                                   listener_ended_.reset();
                                 })),
      some_released_(loop.watch(charges.release_watch.fd(), POLLIN, [this](short) { settle(); })),
      look_again_(loop.timer([this] { look(); })),
      need_begins_(loop, [this] {
        settle();
        expect_look();
      }) {
  charges_.release_watch.tell_of_need(need_begins_.nudger());
  charges_.namespaces.tell_of_need(need_begins_.nudger());
  look_again_.set(EventLoop::Clock::now());
}

void ServingUpkeep::expect_look() { look_again_.set_by(EventLoop::Clock::now() + kBetweenLooks); }

void ServingUpkeep::settle() {
  charges_.files.settle();
  if (charges_.release_watch.has_news()) {
    look_again_.set_by(EventLoop::Clock::now() + kBeforeGoingOn);
  }
}

/// Whoever has many descriptors makes a sweep long, and signals and children cannot wait.
void ServingUpkeep::look() {
  settle();
  const bool sweep = charges_.namespaces.need_sweeping();
  if (sweep || charges_.release_watch.needs_polling()) expect_look();
  if (sweep) {
    (void)sweeping_.start([&namespaces = charges_.namespaces] { namespaces.sweep(); });
  }
}

bool ServingUpkeep::wait_for_end() {
  charges_.namespaces.stop_sweeping();
  return sweeping_.wait_for_end(std::chrono::seconds(1));
}

}  // namespace shmvisor
