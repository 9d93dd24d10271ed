#include "supervisor/log/log_limiter.h"

#include <utility>

namespace shmvisor {

LogLimiter::Verdict LogLimiter::ask(LogTopic topic, uid_t user, Clock::time_point now) {
  const MutexLock lock(mutex_);
  Allowance& allowance = allowances_.of({topic, user}, {topic, kNobody}, now);
  if (!allowance.take()) return {};
  return {true, std::exchange(allowance.left_out, 0)};
}

std::uint64_t LogLimiter::take_untold() {
  const MutexLock lock(mutex_);
  std::uint64_t untold = 0;
  allowances_.take_left_out([&untold](const Key*, std::uint64_t count) { untold += count; });
  return untold;
}

}  // namespace shmvisor
