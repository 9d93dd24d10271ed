#include "supervisor/loop/nudge.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <utility>

namespace shmvisor {
namespace {

void write_once(int fd) {
  const std::uint64_t once = 1;
  (void)!::write(fd, &once, sizeof(once));
}

/// The descriptor is emptied first, or a nudge that comes meanwhile would be lost.
void hear(int fd, const std::function<void()>& nudged) {
  std::uint64_t count = 0;
  (void)!::read(fd, &count, sizeof(count));
  try {
    nudged();
  } catch (...) {
    write_once(fd);  // so that the loop calls again
    throw;
  }
}

}  // namespace

Nudge::Nudge(EventLoop& loop, std::function<void()> nudged)
    : event_(std::make_shared<const UniqueFd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      came_(loop.watch(
          event_->get(), POLLIN,
          [fd = event_->get(), nudged = std::move(nudged)](short) { hear(fd, nudged); })) {}

std::function<void()> Nudge::nudger() const {
  return [event = event_] { write_once(event->get()); };
}

}  // namespace shmvisor
