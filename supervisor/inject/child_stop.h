// ChildStop: catches the child of a clone(2) before its first instruction.
//
// The parent is attached to, and not asked to stop: the kernel would give its clone up for that and
// begin it anew (ERESTARTNOINTR, copy_process() of kernel/fork.c), again and again. The parent
// stops by itself when it has a child, which the kernel attaches to us. Nobody tells whether there
// will be a child; so a parent that has none after a while is asked to stop all the same, to be let
// go. Where the parent had not even begun by then, it makes its call once more.
//
// Bounds: 10 ms until the parent is asked to stop, two seconds until it is given up
// (AttachedThread::abandon()). Thread rule: the thread that created it, which traces.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

class ChildStop {
 public:
  /// Of a thread that is blocked in the kernel, before its call. Errors:
  /// AttachedThread::attach()'s.
  static Result<ChildStop> expect_of(pid_t parent);

  ChildStop(ChildStop&&) noexcept = default;
  ChildStop& operator=(ChildStop&&) = delete;
  ChildStop(const ChildStop&) = delete;
  ChildStop& operator=(const ChildStop&) = delete;
  ~ChildStop() { parent_.abandon(); }

  /// Once the call goes its way. The child, which goes its own when that is destroyed; nothing
  /// where none has been made, or it is gone. The parent is let go in any case.
  std::optional<StoppedThread> wait_for_child();

 private:
  explicit ChildStop(AttachedThread parent) : parent_(std::move(parent)) {}

  /// Whether there is news of it in time.
  [[nodiscard]] bool wait_for_news_until(std::chrono::steady_clock::time_point deadline) const;
  /// Its child's tid; 0: go on waiting. Nothing where no child will come.
  std::optional<pid_t> look_at_news();

  AttachedThread parent_;
};

}  // namespace shmvisor
