// SharedCounts: counts that many ask for at the same time, made for all of them at once.
//
// A count tells each of those who asked before it began what is so at the time of their calls. So
// whoever asks while enough counts are going on waits for the next one, together with all others
// who do; one of them makes it, of all files that any of them has asked for. Nobody is before
// another, a crowd costs what one asker does, and nobody waits for more than the end of a count
// that is going on and the one behind it. Whose call is void meanwhile keeps nobody from anything.
//
// So many counts go on at a time. A process that holds one up lets another begin beside it.
//
// Errors: those of the count, for all who share it. Thread rule: any thread.
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
    int most = 4;  ///< where the last to begin has taken kLong
  };
  static constexpr std::chrono::milliseconds kLong{5};

  /// `count`: makes one; of whichever asker, it must be the same. It may be called by several
  /// threads at a time.
  SharedCounts(Count count, const Bounds& bounds) : count_(std::move(count)), bounds_(bounds) {}
  SharedCounts(const SharedCounts&) = delete;
  SharedCounts& operator=(const SharedCounts&) = delete;

  /// The counts of these files, in their order, by a count that has begun after this call.
  [[nodiscard]] Result<MappingCounts> of(std::span<const FileIdentity> files);

 private:
  using Clock = std::chrono::steady_clock;

  /// Those who share a count.
  struct Crowd {
    std::vector<FileIdentity> files;
    std::unordered_map<FileIdentity, std::size_t, FileIdentityHash> places;  ///< of files
    bool began = false;
    std::optional<Result<MappingCounts>> result;
    Condition changed;  ///< a count may begin, or the result is there

    /// Where in `files` they are.
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
