// DescriptorShare: how many descriptors one group of callers may make us keep, of a DescriptorPool.
//
// A group gets another one while it has fewer than are free. So the first that takes all it can get
// leaves a half, the next one a quarter: always something for others, and for what they have to
// wait for (a listener, a thread's timer, an attach). Without that, one container could make an
// agent deaf.
//
// Thread rule: any thread. A share does not outlive its pool, nor a part its share.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace shmvisor {

/// What RLIMIT_NOFILE allows us, less some for ourselves.
class DescriptorPool {
 public:
  DescriptorPool();

 private:
  friend class DescriptorShare;
  [[nodiscard]] std::int64_t left() const { return size_ - taken_.load(); }

  std::int64_t size_ = 0;
  std::atomic<std::int64_t> taken_{0};
};

class DescriptorShare {
 public:
  /// One descriptor that is kept; given back with it.
  class Part {
   public:
    Part() = default;
    Part(Part&& other) noexcept : share_(std::exchange(other.share_, nullptr)) {}
    Part& operator=(Part&& other) noexcept {
      std::swap(share_, other.share_);
      return *this;
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() {
      if (share_ != nullptr) share_->add(-1);
    }

   private:
    friend class DescriptorShare;
    explicit Part(DescriptorShare& share) : share_(&share) { share.add(1); }

    DescriptorShare* share_ = nullptr;
  };

  explicit DescriptorShare(DescriptorPool& pool) : pool_(pool) {}

  /// For a descriptor that is about to be made. Nothing where the group has its share, of which the
  /// log tells once.
  std::optional<Part> take();
  /// Those that it has whatever its share; fewer where `count` is negative.
  void add(std::int64_t count) {
    taken_.fetch_add(count);
    pool_.taken_.fetch_add(count);
  }

 private:
  DescriptorPool& pool_;
  std::atomic<std::int64_t> taken_{0};
  std::atomic_flag told_;
};

}  // namespace shmvisor
