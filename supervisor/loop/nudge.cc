#include "supervisor/loop/nudge.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace shmvisor {

Nudge::Nudge(EventLoop& loop, std::function<void()> nudged)
    : event_(std::make_shared<const UniqueFd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      came_(loop.watch(event_->get(), POLLIN,
                       [fd = event_->get(), nudged = std::move(nudged)](short) {
                         std::uint64_t count = 0;
                         (void)!::read(fd, &count, sizeof(count));
                         nudged();
                       })) {}

std::function<void()> Nudge::nudger() const {
  return [event = event_] {
    const std::uint64_t once = 1;
    (void)!::write(event->get(), &once, sizeof(once));
  };
}

}  // namespace shmvisor
