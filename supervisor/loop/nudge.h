// Nudge: lets other threads run a callback in an event loop, which may be waiting.
//
// The loop's thread is woken by an eventfd(2). The nudging thread does not wait, allocates nothing,
// and may hold locks. Nudges that come before the loop has handled the last one count as one.
//
// Errors: without a descriptor nudges do nothing (valid()). A callback that throws is called again,
// as EventLoop says. Ownership: a nudger shares what it needs, and may outlive the Nudge. Thread
// rule: one thread, except the nudger.
#pragma once

#include <functional>
#include <memory>

#include "policy/base/unique_fd.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class Nudge {
 public:
  /// `nudged` runs in the loop's thread.
  Nudge(EventLoop& loop, std::function<void()> nudged);

  [[nodiscard]] bool valid() const { return event_->valid(); }
  /// For any thread, at any time.
  [[nodiscard]] std::function<void()> nudger() const;

 private:
  const std::shared_ptr<const UniqueFd> event_;
  const EventLoop::Source came_;
};

}  // namespace shmvisor
