// ExpectedCalls: calls that the supervisor itself causes another thread to make.
//
// A process that borrows a descriptor table (BorrowedTable) makes one of the served calls, so that
// the kernel parks it and lets us put a descriptor into its table. A caller that has to make its
// call again (RepeatedCall) does the same. The thread that receives such a call hands it to the
// thread that expects it, instead of serving it.
//
// A call from an expected tid may be another call than the expected one: an earlier call that is
// void since, or the call of another thread that took over the tid by an exec. The expecting thread
// must tell them apart. It gives other calls back, and they are served after all.
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
  /// `somebody_receives`: called before a call is awaited; makes another thread receive.
  /// `if_a_call_waits`: does the same, but only if a call waits to be received already.
  explicit ExpectedCalls(
      std::function<void()> somebody_receives, std::function<void()> if_a_call_waits = [] {})
      : somebody_receives_(std::move(somebody_receives)),
        if_a_call_waits_(std::move(if_a_call_waits)) {}

  /// Makes a thread other than the calling one receive.
  void let_another_receive() const { somebody_receives_(); }
  /// The same, but only if a call waits already. To be called before a caller is stopped.
  void let_another_receive_waiting() const { if_a_call_waits_(); }
  /// From now on calls of `tid` are kept for next() and await().
  void expect(pid_t tid);
  /// The next call; nothing when none comes in time.
  std::optional<seccomp_notif> next(pid_t tid, std::chrono::milliseconds bound);
  /// Ends the expectation. Calls that next() did not take are given back.
  void end(pid_t tid);
  /// The id of the next call, of a tid that no other thread can take over; nothing when no call
  /// comes within two seconds. Ends the expectation.
  std::optional<std::uint64_t> await(pid_t tid);

  /// Hands the call to the thread that expects it. False if no thread does.
  bool claim(const seccomp_notif& notif);
  void give_back(const seccomp_notif& notif);
  /// A call that was given back, to be served.
  std::optional<seccomp_notif> next_given_back();

 private:
  const std::function<void()> somebody_receives_;
  const std::function<void()> if_a_call_waits_;
  std::atomic<int> expected_count_{0};
  std::atomic<int> given_back_count_{0};
  Mutex mutex_;
  Condition arrived_;
  std::map<pid_t, std::deque<seccomp_notif>> expected_ GUARDED_BY(mutex_);
  std::vector<seccomp_notif> given_back_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
