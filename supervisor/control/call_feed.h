// CallFeed: takes calls out of the ring in the main loop, and hands each on as a line.
//
// The ring wakes the loop with the first call after a pause; then the loop looks every
// kBetweenLooks until a look finds none. So a busy command wakes it a hundred times a second, and
// an idle one never. Of very many calls one look takes a part.
//
// Ownership: borrows loop and ring. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/control/named_registry.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/nudge.h"
#include "supervisor/serve/call_ring.h"

namespace shmvisor {

class CallFeed {
 public:
  static constexpr std::chrono::milliseconds kBetweenLooks{10};

  /// Gets the lines of one look together, and how many calls were lost before them.
  using Deliver = std::function<void(const std::vector<std::string>& lines, std::uint64_t lost)>;

  CallFeed(EventLoop& loop, CallRing& ring, KnownSessions sessions, Deliver deliver);

  [[nodiscard]] bool valid() const { return woken_.valid(); }
  /// Somebody follows from now on, or nobody does.
  void follow(bool wanted);
  /// Hands on all that there is.
  void drain();

 private:
  /// False where there was none.
  bool take_some();
  void look();

  CallRing& ring_;
  const KnownSessions sessions_;
  const Deliver deliver_;
  bool wanted_ = false;
  EventLoop::Timer look_again_;
  const Nudge woken_;
};

}  // namespace shmvisor
