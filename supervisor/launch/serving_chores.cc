#include "supervisor/launch/serving_chores.h"

#include <algorithm>
#include <new>

#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

constexpr int kLookAgainMs = 1000;

}  // namespace

void ServingChores::append_waiting(std::vector<pollfd>& waiting) const {
  waiting.push_back({charges_.release_watch.fd(), POLLIN, 0});
  waiting.push_back({ended_ ? -1 : charges_.listener.fd(), 0, 0});  // its end alone: POLLHUP
  if (charges_.joined != nullptr) charges_.joined->append_waiting(waiting);
}

int ServingChores::timeout_ms() const {
  const bool look_again =
      charges_.release_watch.needs_polling() || charges_.namespaces.need_sweeping();
  const int own_ms = look_again ? kLookAgainMs : -1;
  const int joined_ms = charges_.joined != nullptr ? charges_.joined->timeout_ms() : -1;
  return own_ms < 0 || joined_ms < 0 ? std::max(own_ms, joined_ms) : std::min(own_ms, joined_ms);
}

void ServingChores::turn() {
  try {
    turn_once();
  } catch (const std::bad_alloc&) {
    log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                "out of memory: what was to be looked after waits");
  }
}

void ServingChores::turn_once() {
  ended_ = ended_ || charges_.listener.ended();
  charges_.files.settle();
  if (charges_.namespaces.need_sweeping()) charges_.namespaces.sweep();
  if (charges_.joined != nullptr) charges_.joined->turn();
}

bool ServingChores::all_gone() const {
  return ended_ && (charges_.joined == nullptr || charges_.joined->all_gone());
}

}  // namespace shmvisor
