// Nudge: lets other threads have something done in an event loop, which may be waiting.
//
// The loop's thread is woken by an eventfd(2). Who nudges waits for nobody, allocates nothing, and
// may hold locks. Nudges that come before the loop has seen to the last one are one.
//
// Errors: where no descriptor can be had nobody is heard (valid()). Ownership: whoever may nudge
// shares what that needs, and may outlive this. Thread rule: one thread, but for the nudger.
#pragma once

#include <functional>
#include <memory>

#include "policy/base/unique_fd.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class Nudge {
 public:
  /// `nudged` is called by the loop.
  Nudge(EventLoop& loop, std::function<void()> nudged);

  [[nodiscard]] bool valid() const { return event_->valid(); }
  /// For any thread, at any time.
  [[nodiscard]] std::function<void()> nudger() const;

 private:
  const std::shared_ptr<const UniqueFd> event_;
  const EventLoop::Source came_;
};

}  // namespace shmvisor
