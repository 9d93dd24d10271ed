#include "supervisor/notify/left_calls.h"

namespace shmvisor {

LeftCalls go_on_with(Listener& listener, std::span<const CallSlots::Left> left) {
  LeftCalls calls;
  for (const CallSlots::Left& one : left) {
    if (one.listener != listener.fd()) continue;
    const std::uint64_t id = one.notification.id;
    if (!listener.alive(id)) {
      // Held when the server died, most likely.
      if (!listener.slots()->leave(id)) listener.done_with(id);
      continue;
    }
    if (one.decided) {
      (void)listener.respond(id, *one.decided);
      ++calls.answered;
      if (one.refused) ++calls.refused;
    } else {
      calls.to_serve.push_back(one.notification);
    }
  }
  return calls;
}

}  // namespace shmvisor
