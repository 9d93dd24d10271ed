#include "supervisor/notify/left_calls.h"

#include <cerrno>
#include <csignal>

namespace shmvisor {
namespace {

/// Another thread may have the tid by now: then the slot stays as long as that thread.
bool exists(std::uint32_t tid) { return ::kill(static_cast<pid_t>(tid), 0) == 0 || errno != ESRCH; }

}  // namespace

LeftCalls go_on_with(Listener& listener, std::span<const CallSlots::Left> left) {
  LeftCalls calls;
  for (const CallSlots::Left& one : left) {
    if (one.listener != listener.fd()) continue;
    const std::uint64_t id = one.notification.id;
    // Of a caller that was held and not marked its deaths alone count.
    if ((one.marked || one.deaths != 0) && !listener.alive(id) && exists(one.notification.pid)) {
      listener.slots()->await_again(id);
      if (one.refused) ++calls.refused;
      continue;
    }
    if (!listener.waits_still(id)) continue;
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
