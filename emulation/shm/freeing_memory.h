// FreeingMemory: who is freeing the memory of dropped segments just now.
//
// A segment leaves its registry at once; its memory may take longer. Who makes memory and is
// refused waits for those that were freeing already, and tries again: natively the memory was free
// before the segment was gone.
//
// Ownership: a Ticket keeps it. Thread rule: any thread. Its mutex is the last of all.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace shmvisor {

class FreeingMemory : public std::enable_shared_from_this<FreeingMemory> {
 public:
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
    const std::lock_guard lock(mutex_);
    running_.insert(++last_);
    return {shared_from_this(), last_};
  }

  [[nodiscard]] bool any() const {
    const std::lock_guard lock(mutex_);
    return !running_.empty();
  }

  /// Waits for those that began before this call, but no longer than `bound`: somebody may keep one
  /// of them.
  void wait_for_earlier(std::chrono::milliseconds bound) {
    std::unique_lock lock(mutex_);
    const std::uint64_t newest = last_;
    ended_.wait_for(lock, bound, [&] { return running_.empty() || *running_.begin() > newest; });
  }

 private:
  void end(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    running_.erase(number);
    ended_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::set<std::uint64_t> running_;
  std::uint64_t last_ = 0;
};

}  // namespace shmvisor
