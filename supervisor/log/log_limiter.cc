#include "supervisor/log/log_limiter.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace shmvisor {

LogLimiter::Verdict LogLimiter::ask(LogTopic topic, uid_t user, Clock::time_point now) {
  const MutexLock lock(mutex_);
  Allowance& allowance = find({topic, user}, now);
  refill(allowance, now);
  if (allowance.lines == 0) {
    ++allowance.left_out;
    return {};
  }
  --allowance.lines;
  return {true, std::exchange(allowance.left_out, 0)};
}

std::uint64_t LogLimiter::take_untold() {
  const MutexLock lock(mutex_);
  std::uint64_t untold = std::exchange(untold_of_forgotten_, 0);
  for (auto& [key, allowance] : allowances_) untold += std::exchange(allowance.left_out, 0);
  return untold;
}

LogLimiter::Allowance& LogLimiter::find(const Key& key, Clock::time_point now) {
  const auto known = allowances_.find(key);
  if (known != allowances_.end()) return known->second;
  if (allowances_.size() >= kMostAllowances) {
    // A full allowance is as good as none.
    for (auto entry = allowances_.begin(); entry != allowances_.end();) {
      refill(entry->second, now);
      const bool full = entry->second.lines == lines_at_once_;
      if (full) untold_of_forgotten_ += entry->second.left_out;
      entry = full ? allowances_.erase(entry) : std::next(entry);
    }
  }
  const bool crowded = allowances_.size() >= kMostAllowances;
  return allowances_
      .try_emplace(crowded ? Key{key.first, kNobody} : key, Allowance{lines_at_once_, now, 0})
      .first->second;
}

void LogLimiter::refill(Allowance& allowance, Clock::time_point now) const {
  const auto more = (now - allowance.counted_at) / for_one_more_;
  if (more <= 0) return;
  allowance.counted_at += more * for_one_more_;
  allowance.lines =
      static_cast<int>(std::min<std::int64_t>(allowance.lines + more, lines_at_once_));
}

}  // namespace shmvisor
