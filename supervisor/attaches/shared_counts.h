// SharedCounts: one count for all threads that ask at the same time.
//
// A count is valid for every call that asked before the count began. So while enough counts are
// running, asking threads wait for the next count together. One of them makes it, for all files
// that any of them has asked for. So a crowd costs as much as one asking thread. A thread waits at
// most for the end of a running count and for the next count. A caller that dies meanwhile delays
// no other.
//
// Several counts may run at a time, so that a process that delays one count does not delay the
// next.
//
// Errors: those of the count, for all threads that share it. Thread rule: any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "emulation/shm/host.h"
#include "policy/base/mutex.h"
#include "policy/base/result.h"

namespace shmvisor {

class SharedCounts {
 public:
  using Count = std::function<Result<MappingCounts>(std::span<const FileIdentity>)>;

  /// Counts at a time.
  struct Bounds {
    int quick = 2;
    int most = 4;  ///< where the last one begun has taken kLong
  };
  static constexpr std::chrono::milliseconds kLong{5};

  /// `count`: makes a count; every asking thread must give the same one. Several threads may call
  /// it at a time.
  SharedCounts(Count count, const Bounds& bounds) : count_(std::move(count)), bounds_(bounds) {}
  SharedCounts(const SharedCounts&) = delete;
  SharedCounts& operator=(const SharedCounts&) = delete;

  /// The counts of these files, in their order, by a count that began after this call.
  [[nodiscard]] Result<MappingCounts> of(std::span<const FileIdentity> files);

 private:
  using Clock = std::chrono::steady_clock;

  /// The threads that share a count.
  struct Crowd {
    std::vector<FileIdentity> files;
    std::unordered_map<FileIdentity, std::size_t, FileIdentityHash> places;  ///< of files
    bool began = false;
    std::optional<Result<MappingCounts>> result;
    Condition changed;  ///< a count may begin, or the result is there

    /// Adds the files, and answers their places in `files`.
    std::vector<std::size_t> add(std::span<const FileIdentity> asked);
  };
  class Turn;

  [[nodiscard]] bool may_begin() const REQUIRES(mutex_);
  /// Lets the mutex go meanwhile.
  void make(const std::shared_ptr<Crowd>& crowd) REQUIRES(mutex_);

  const Count count_;
  const Bounds bounds_;
  Mutex mutex_;
  int going_on_ GUARDED_BY(mutex_) = 0;
  Clock::time_point last_began_ GUARDED_BY(mutex_);
  std::shared_ptr<Crowd> waiting_ GUARDED_BY(mutex_);  ///< whose count has not begun
};

}  // namespace shmvisor
