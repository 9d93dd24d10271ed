#include "supervisor/scope/recent_pids.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace shmvisor {
namespace {

/// Samples further apart make the births of a second a little longer, and the list short.
constexpr std::chrono::milliseconds kBetweenSamples(50);

}  // namespace

void RecentPids::note(Clock::time_point now, std::optional<pid_t> last) {
  if (!last) {
    newest_.reset();
    samples_.clear();
    return;
  }
  newest_ = {now, *last};
  if (samples_.empty() || now - samples_.back().when >= kBetweenSamples) {
    samples_.push_back(*newest_);
  }
  while (samples_.size() > 1 && now - samples_[1].when >= kLongestBirth + kListingHolds) {
    samples_.pop_front();
  }
}

std::optional<std::vector<pid_t>> RecentPids::since(Clock::time_point listed,
                                                    std::size_t most) const {
  if (!newest_ || newest_->when - listed > kListingHolds) return std::nullopt;
  const auto younger =
      std::ranges::upper_bound(samples_, listed - kLongestBirth, std::less<>(), &Sample::when);
  if (younger == samples_.begin()) return std::nullopt;
  const pid_t before = std::prev(younger)->last;
  // Lower where numbers have begun again.
  if (newest_->last < before) return std::nullopt;
  const auto given_out = static_cast<std::size_t>(newest_->last - before);
  if (given_out > most) return std::nullopt;
  std::vector<pid_t> pids;
  pids.reserve(given_out);
  for (pid_t pid = before + 1; pid <= newest_->last; ++pid) pids.push_back(pid);
  return pids;
}

}  // namespace shmvisor
