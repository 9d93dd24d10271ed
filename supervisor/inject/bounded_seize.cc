#include "supervisor/inject/bounded_seize.h"

#include <cerrno>

#include "policy/base/held_locks.h"
#include "supervisor/inject/arch/seize_call.h"
#include "supervisor/inject/kick_timer.h"

namespace shmvisor {

Result<void> seize_within(pid_t tid, std::uint64_t options, std::chrono::milliseconds bound) {
  HeldLocks::assert_may_wait();
  thread_local KickTimer timer;
  const auto deadline = std::chrono::steady_clock::now() + bound;
  if (!timer.arm(bound)) return Errno(ENOMEM);
  long result = seize_call(tid, options);
  // A kick that was meant for another wait says nothing about this one.
  while (result == -EAGAIN && std::chrono::steady_clock::now() < deadline) {
    result = seize_call(tid, options);
  }
  timer.disarm();
  if (result < 0) return Errno(static_cast<int>(-result));
  return {};
}

}  // namespace shmvisor
