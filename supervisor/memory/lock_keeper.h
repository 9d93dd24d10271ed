// LockKeeper: renews the locks of segments that are locked but not allocated yet.
//
// In the kernel SHM_LOCK is a property of the segment: a page that is touched later is never
// swapped either. Here it is a mapping of our own, mlock2(2) with MLOCK_ONFAULT, which keeps a page
// only once it is faulted in there, and the kernel does not tell us of a first touch elsewhere. So
// a thread looks once a second, as long as there is such a segment.
//
// Ownership: a renewal owns what it works on, since it may outlive its owner and the keeper. Thread
// rule: any thread; no thread waits for a renewal.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "policy/base/mutex.h"

namespace shmvisor {

class LockKeeper {
 public:
  /// Locks the pages allocated since its last run, or a part of them, since other segments wait for
  /// their turn. False when all pages are locked, or nothing is to be locked any more.
  using Renewal = std::function<bool()>;

  explicit LockKeeper(std::chrono::milliseconds period = std::chrono::seconds(1))
      : state_(std::make_shared<State>(period)) {}
  LockKeeper(const LockKeeper&) = delete;
  LockKeeper& operator=(const LockKeeper&) = delete;
  ~LockKeeper();

  /// Precondition: `owner` has no renewal yet.
  void add(const void* owner, Renewal renewal);
  /// No renewal of `owner` begins after this call. Does nothing where there is none.
  void remove(const void* owner);

 private:
  using Entry = std::shared_ptr<const Renewal>;
  /// Shared with the thread, which ends when there is nothing to renew.
  struct State {
    explicit State(std::chrono::milliseconds between) : period(between) {}

    const std::chrono::milliseconds period;
    Mutex mutex;  ///< not held during a renewal
    Condition changed;
    std::map<const void*, Entry> renewals GUARDED_BY(mutex);
    bool over GUARDED_BY(mutex) = false;
    bool runs GUARDED_BY(mutex) = false;
  };

  void start() REQUIRES(state_->mutex);
  static void* run(void* state);
  /// Runs each renewal once. The mutex is held before and after, but not meanwhile.
  static void renew_all(State& state) REQUIRES(state.mutex);

  const std::shared_ptr<State> state_;
};

}  // namespace shmvisor
