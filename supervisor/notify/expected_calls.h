// ExpectedCalls: calls that we made ourselves, in somebody else's name.
//
// A process that was set up to borrow a descriptor table (BorrowedTable) makes one of our calls so
// that the kernel parks it and lets us put a descriptor into it; so does a caller that is to make
// its call again (RemoteSpace). Whichever thread receives that call hands it to the thread that
// expects it, instead of serving it.
//
// Not all that comes from an expected tid is what was expected: a call received before, and void
// since, may be looked at only now; and the tid may have gone to another thread, through an exec.
// Who expects must tell them apart; what was none of its is given back, to be served after all.
//
// Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"

namespace shmvisor {

class ExpectedCalls {
 public:
  /// `somebody_receives`: called when a call is about to be awaited, to see to it that a thread
  /// other than the awaiting one receives.
  explicit ExpectedCalls(std::function<void()> somebody_receives)
      : somebody_receives_(std::move(somebody_receives)) {}

  /// Sees to it that a thread other than the calling one receives.
  void let_another_receive() const { somebody_receives_(); }
  /// From now on calls of `tid` are kept for next() and await().
  void expect(pid_t tid);
  /// The next call; nothing when none comes in time.
  std::optional<seccomp_notif> next(pid_t tid, std::chrono::milliseconds bound);
  /// Ends the expectation. What was not taken by next() is given back.
  void end(pid_t tid);
  /// The id of the next call, of a tid that nobody else can have; nothing when it does not come
  /// within two seconds. Ends the expectation.
  std::optional<std::uint64_t> await(pid_t tid);

  /// Whether the call was expected, and is taken care of.
  bool claim(const seccomp_notif& notif);
  void give_back(const seccomp_notif& notif);
  /// A call that was given back, to be served.
  std::optional<seccomp_notif> next_given_back();

 private:
  const std::function<void()> somebody_receives_;
  std::atomic<int> expected_count_{0};
  std::atomic<int> given_back_count_{0};
  Mutex mutex_;
  Condition arrived_;
  std::map<pid_t, std::deque<seccomp_notif>> expected_ GUARDED_BY(mutex_);
  std::vector<seccomp_notif> given_back_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
