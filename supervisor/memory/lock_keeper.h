// LockKeeper: renews the locks of segments that are locked but not allocated yet.
//
// To the kernel SHM_LOCK is a property of the segment: a page that is touched later is never
// swapped either. Ours is a mapping of our own, mlock2(2) with MLOCK_ONFAULT, which keeps a page
// only once it is faulted in there; and nobody is told of the first touch of a page elsewhere. So a
// thread looks once a second, as long as there is such a segment.
//
// Ownership: the thread ends with it. Thread rule: any thread; remove() waits for a renewal that is
// going on, so do not hold what a renewal takes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace shmvisor {

class LockKeeper {
 public:
  /// Locks what was allocated since it was asked last. False when nothing is left to come.
  using Renewal = std::function<bool()>;

  explicit LockKeeper(std::chrono::milliseconds period = std::chrono::seconds(1))
      : period_(period) {}
  LockKeeper(const LockKeeper&) = delete;
  LockKeeper& operator=(const LockKeeper&) = delete;
  ~LockKeeper();

  /// Precondition: `owner` has none.
  void add(const void* owner, Renewal renewal);
  /// Does nothing where there is none (any more).
  void remove(const void* owner);

 private:
  void start();
  void run();

  const std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<const void*, Renewal> renewals_;
  bool over_ = false;
  bool runs_ = false;  ///< the thread, which ends when there is nothing to renew
  std::thread thread_;
};

}  // namespace shmvisor
