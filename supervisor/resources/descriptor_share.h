// DescriptorShare: how many descriptors of a DescriptorPool a group of callers, and each user in
// the group, may make us keep.
//
// A group gets another descriptor while it has fewer than are free. So the first group that takes
// all it can get leaves a half, the next one a quarter, and something is always left for others.
// Without that, one container could keep an agent from accepting further ones. The same holds for
// each user in a group, within what the group may still get; but not for our own user, who could
// kill us anyway.
//
// The charged user is that of accountable_user.h.
//
// Ownership: a share does not outlive its pool, nor a part its share. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "policy/base/mutex.h"
#include "supervisor/resources/descriptor_plan.h"

namespace shmvisor {

class DescriptorPool {
 public:
  explicit DescriptorPool(const DescriptorPlan& plan) : size_(plan.pool) {}

  [[nodiscard]] std::int64_t left() const { return size_ - taken_.load(); }

 private:
  friend class DescriptorShare;

  const std::int64_t size_;
  std::atomic<std::int64_t> taken_{0};
};

class DescriptorShare {
 public:
  /// Descriptors that are counted; the destructor gives them back.
  class Part {
   public:
    Part() = default;
    Part(Part&& other) noexcept
        : share_(std::exchange(other.share_, nullptr)), user_(other.user_), count_(other.count_) {}
    Part& operator=(Part&& other) noexcept {
      std::swap(share_, other.share_);
      std::swap(user_, other.user_);
      std::swap(count_, other.count_);
      return *this;
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() {
      if (share_ != nullptr) share_->charge(user_, -count_);
    }
    /// So many of them, which may be given back at another time than the others.
    [[nodiscard]] Part split(std::int64_t count) {
      if (share_ == nullptr) return {};
      count_ -= count;
      return {*share_, user_, count};
    }

   private:
    friend class DescriptorShare;
    Part(DescriptorShare& share, uid_t user, std::int64_t count)
        : share_(&share), user_(user), count_(count) {}

    DescriptorShare* share_ = nullptr;
    uid_t user_ = 0;
    std::int64_t count_ = 0;
  };

  enum class Group : std::uint8_t {
    kOneOfMany,  ///< it must leave some of the pool to others
    kOnly,       ///< it may have the whole pool
  };

  explicit DescriptorShare(DescriptorPool& pool, Group group = Group::kOneOfMany);

  /// Why a part is refused, with the numbers.
  struct Refusal {
    enum class Of : std::uint8_t { kPool, kGroup, kUser };
    Of of = Of::kPool;
    std::int64_t has = 0;       ///< the group, or the user
    std::int64_t may_have = 0;  ///< at most
  };

  /// For descriptors that are about to be created. Nothing where the group or the user has its
  /// share already, which is logged; `refusal`, if not null, then has the details.
  std::optional<Part> take(uid_t user, std::int64_t count = 1, Refusal* refusal = nullptr);
  /// Counts descriptors that the group has regardless of its share; `count` may be negative.
  void add(std::int64_t count);

 private:
  void charge(uid_t user, std::int64_t count);
  [[nodiscard]] std::optional<Refusal> refuses(uid_t user, std::int64_t count) const
      REQUIRES(mutex_);
  /// Logs each kind of refusal once for each user, since a refused user may ask again and again.
  void tell_of(const Refusal& refusal, uid_t user);

  DescriptorPool& pool_;
  const Group group_;
  const uid_t our_user_;
  mutable Mutex mutex_;
  std::int64_t taken_ GUARDED_BY(mutex_) = 0;
  struct Account {
    std::int64_t taken = 0;
    bool told = false;
  };
  std::unordered_map<uid_t, Account> accounts_ GUARDED_BY(mutex_);
  std::atomic_flag told_of_group_;
  std::atomic_flag told_of_pool_;
};

}  // namespace shmvisor
