#include "supervisor/launch/serving_chores.h"

#include <algorithm>
#include <new>

#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

constexpr int kLookAgainMs = 1000;
/// With what one turn left undone.
constexpr int kGoOnMs = 5;

}  // namespace

void ServingChores::append_waiting(std::vector<pollfd>& waiting) const {
  waiting.push_back({charges_.release_watch.fd(), POLLIN, 0});
  waiting.push_back({ended_ ? -1 : charges_.listener.fd(), 0, 0});  // its end alone: POLLHUP
  if (charges_.joined != nullptr) charges_.joined->append_waiting(waiting);
}

int ServingChores::timeout_ms() const {
  const bool look_again =
      charges_.release_watch.needs_polling() || charges_.namespaces.need_sweeping();
  const int when_ms = charges_.release_watch.has_news() ? kGoOnMs : kLookAgainMs;
  const int own_ms = look_again ? when_ms : -1;
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
  sweep_if_due();
  if (charges_.joined != nullptr) charges_.joined->turn();
}

/// Whoever has many descriptors makes it long, and signals and children cannot wait.
void ServingChores::sweep_if_due() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_sweep_ || !charges_.namespaces.need_sweeping()) return;
  if (!sweeping_.start([&namespaces = charges_.namespaces] { namespaces.sweep(); })) return;
  next_sweep_ = now + std::chrono::milliseconds(kLookAgainMs);
}

bool ServingChores::wait_for_end() {
  charges_.namespaces.stop_sweeping();
  return sweeping_.wait_for_end(std::chrono::seconds(1));
}

bool ServingChores::all_gone() const {
  return ended_ && (charges_.joined == nullptr || charges_.joined->all_gone());
}

}  // namespace shmvisor
