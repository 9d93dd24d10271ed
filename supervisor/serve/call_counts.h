// CallCounts: the calls to one registry: how many of each kind, how many failed, how long they
// took, and what was refused and why.
//
// A count costs a call some atomic additions. The counts of one kind are not read at one point in
// time: a call that is counted meanwhile may be in some of them.
//
// Thread rule: any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "emulation/ipc/denial.h"
#include "emulation/syscalls/shm_call.h"

namespace shmvisor {

class CallCounts {
 public:
  static constexpr std::size_t kOperations = 4;  ///< of ShmOperation
  static constexpr std::size_t kReasons = static_cast<std::size_t>(Denial::kLastReason) + 1;
  /// A duration is counted at the first bound that it does not exceed. A shmget takes a few
  /// microseconds, a shmat some tens; a shmat that waits for a tracer of its caller takes seconds.
  static constexpr std::array<std::chrono::nanoseconds, 14> kBounds = {
      std::chrono::microseconds(2),   std::chrono::microseconds(5),
      std::chrono::microseconds(10),  std::chrono::microseconds(20),
      std::chrono::microseconds(50),  std::chrono::microseconds(100),
      std::chrono::microseconds(200), std::chrono::microseconds(500),
      std::chrono::milliseconds(1),   std::chrono::milliseconds(5),
      std::chrono::milliseconds(20),  std::chrono::milliseconds(100),
      std::chrono::seconds(1),        std::chrono::seconds(5)};

  struct Count {
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
  };
  struct Durations {
    /// A count for each of kBounds; the last one counts durations that exceed all bounds.
    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    std::chrono::nanoseconds sum{0};
  };

  /// `took`: empty where the duration is not known.
  void add(ShmOperation operation, bool failed, Denial::Reason reason,
           std::optional<std::chrono::nanoseconds> took);

  [[nodiscard]] Count of(ShmOperation operation) const;
  [[nodiscard]] Durations durations(ShmOperation operation) const;
  [[nodiscard]] std::uint64_t refusals(Denial::Reason reason) const;

 private:
  using Counter = std::atomic<std::uint64_t>;
  struct Kind {
    Counter calls{0};
    Counter errors{0};
    std::array<Counter, kBounds.size() + 1> within{};
    std::atomic<std::int64_t> sum_ns{0};
  };

  std::array<Kind, kOperations> kinds_{};
  std::array<Counter, kReasons> refusals_{};
};

}  // namespace shmvisor
