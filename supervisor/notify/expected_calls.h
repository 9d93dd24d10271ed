// ExpectedCalls: calls that we made ourselves, in somebody else's name.
//
// A process that was set up to borrow a descriptor table (BorrowedTable) makes one of our calls so
// that the kernel parks it and lets us put a descriptor into it. Whichever thread receives that
// call hands its id to the thread that expects it, instead of serving it.
//
// Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace shmvisor {

class ExpectedCalls {
 public:
  /// `somebody_receives`: called when a call is about to be awaited, to see to it that a thread
  /// other than the awaiting one receives.
  explicit ExpectedCalls(std::function<void()> somebody_receives)
      : somebody_receives_(std::move(somebody_receives)) {}

  /// From now on calls of `tid` are kept for await().
  void expect(pid_t tid);
  /// The id of the call; nothing when it does not come within two seconds. Ends the expectation.
  std::optional<std::uint64_t> await(pid_t tid);
  /// Whether the call was expected, and is taken care of.
  bool claim(const seccomp_notif& notif);

 private:
  const std::function<void()> somebody_receives_;
  std::atomic<int> expected_count_{0};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<pid_t, std::optional<std::uint64_t>> expected_;
};

}  // namespace shmvisor
