// LogLimiter: how many log lines one user may cause, of each topic.
//
// A hostile caller can repeat whatever makes a line. So each user has an allowance of lines for
// each topic: some at once, and one more every few seconds. Lines beyond the allowance are counted;
// the next line of that topic and user reports the count, or the end of the process does.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/limits/allowances.h"

namespace shmvisor {

/// What a line is about. Each topic has an allowance of its own, so that noise about one topic
/// hides no line about another.
enum class LogTopic : std::uint8_t {
  kNewSegments,
  kAttaches,
  kRefusedCalls,
  kShares,
  kThreads,
  kMemory,
  kNamespaces,
  kLocking,
  kJoins,
  kContainers,
  kRules,
  kAudit,
  kRefusedMessages,
};

class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  /// For lines whose cause is no user that we know.
  static constexpr uid_t kNobody = static_cast<uid_t>(-1);
  /// Allowances that are kept. Users beyond that number share one allowance.
  static constexpr std::size_t kMostAllowances = Allowances<std::pair<LogTopic, uid_t>>::kMost;

  explicit LogLimiter(int lines_at_once = 10,
                      Clock::duration for_one_more = std::chrono::seconds(5))
      : allowances_(lines_at_once, for_one_more) {}

  struct Verdict {
    bool may_log = false;
    /// Lines of this topic and user that were left out since the last line that was logged.
    std::uint64_t left_out = 0;
  };
  Verdict ask(LogTopic topic, uid_t user, Clock::time_point now = Clock::now());
  /// Lines left out that no verdict has reported. They count as reported afterwards.
  std::uint64_t take_untold();

 private:
  using Key = std::pair<LogTopic, uid_t>;

  Mutex mutex_;
  Allowances<Key> allowances_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
