// Allocations fail when a test says so. A program of tests that uses this links failing_memory.
#pragma once

#include <cstddef>

namespace shmvisor {

/// From the allocation with this number on, counted from 0, none of this thread's succeeds while
/// this lives.
class FailingMemory {
 public:
  explicit FailingMemory(int first) {
    left_ = first;
    failed_ = false;
  }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory() { left_ = kAny; }

  /// Whether an allocation has failed since the last of these was made.
  [[nodiscard]] static bool failed() { return failed_; }
  /// Of operator new.
  static void* allocate(std::size_t bytes);

 private:
  static constexpr int kAny = -1;

  static inline thread_local int left_ = kAny;
  static inline thread_local bool failed_ = false;
};

}  // namespace shmvisor
