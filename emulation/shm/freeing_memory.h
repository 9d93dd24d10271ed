// FreeingMemory: who is freeing the memory of dropped segments just now.
//
// A segment leaves its registry at once; its memory may take longer. Who makes memory and is
// refused waits for those that were freeing already, and tries again: natively the memory was free
// before the segment was gone. One that has taken kKept is kept by somebody, and nobody waits for
// it any more; while there is such a one, which others may follow, nobody waits long.
//
// A caller that lets go of a removed segment waits for that segment alone, where another thread was
// first to drop it (wait_for()).
//
// Ownership: a Ticket keeps it. Thread rule: any thread. No other mutex is
// taken while its own is held.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "policy/base/mutex.h"

namespace shmvisor {

class FreeingMemory : public std::enable_shared_from_this<FreeingMemory> {
 public:
  /// As long as freeing may take.
  static constexpr std::chrono::milliseconds kKept{2000};
  static constexpr std::chrono::milliseconds kBesideKept{100};

  explicit FreeingMemory(std::chrono::milliseconds kept = kKept) : kept_(kept) {}

  /// What a caller waits at most for a segment that it let go of and another thread frees.
  static constexpr std::chrono::milliseconds kOwnSegment{100};

  /// Held from before the segment leaves its registry until its memory is free.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(number_, other.number_);
      return *this;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    [[nodiscard]] std::uint64_t number() const { return number_; }
    ~Ticket() {
      if (owner_ != nullptr) owner_->end(number_);
    }

   private:
    friend class FreeingMemory;
    Ticket(std::shared_ptr<FreeingMemory> owner, std::uint64_t number)
        : owner_(std::move(owner)), number_(number) {}

    std::shared_ptr<FreeingMemory> owner_;
    std::uint64_t number_ = 0;
  };

  [[nodiscard]] Ticket begin() {
    const MutexLock lock(mutex_);
    running_.emplace(++last_, Clock::now());
    return {shared_from_this(), last_};
  }

  /// Whether there is one to wait for.
  [[nodiscard]] bool any() const {
    const MutexLock lock(mutex_);
    return oldest_not_kept() != running_.end();
  }

  /// Waits for those that began before this call and are not kept; for kKept at most.
  void wait_for_earlier() {
    const MutexLock lock(mutex_);
    const std::uint64_t newest = last_;
    const bool some_are_kept = oldest_not_kept() != running_.begin();
    const auto deadline = Clock::now() + (some_are_kept ? kBesideKept : kept_);
    for (auto oldest = oldest_not_kept(); oldest != running_.end() && oldest->first <= newest;
         oldest = oldest_not_kept()) {
      const auto until = std::min(deadline, oldest->second + kept_);
      if (!ended_.wait_until(mutex_, until) && Clock::now() >= deadline) return;
    }
  }

  /// Waits until the ticket of this number has ended, for kOwnSegment at most.
  void wait_for(std::uint64_t number) {
    const MutexLock lock(mutex_);
    const auto deadline = Clock::now() + kOwnSegment;
    while (running_.contains(number) && ended_.wait_until(mutex_, deadline)) {
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::map<std::uint64_t, Clock::time_point>::const_iterator oldest_not_kept() const
      REQUIRES(mutex_) {
    const auto began = Clock::now() - kept_;
    auto at = running_.begin();
    while (at != running_.end() && at->second <= began) ++at;
    return at;
  }

  void end(std::uint64_t number) {
    const MutexLock lock(mutex_);
    running_.erase(number);
    ended_.notify_all();
  }

  const std::chrono::milliseconds kept_;
  mutable Mutex mutex_;
  Condition ended_;
  std::map<std::uint64_t, Clock::time_point> running_ GUARDED_BY(mutex_);  ///< and when they began
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
