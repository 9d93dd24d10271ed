// How a worker times one operation: batches that are long enough for the clock, and the median of
// their means, so that what happens seldom to one batch (a reschedule on a shared machine) does not
// count, and what the operation does now and then itself does.
//
// Sizes: nanoseconds. Thread rule: any thread, no shared state.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "integration/bench/statistics.h"

namespace shmvisor {

using WorkerClock = std::chrono::steady_clock;  // clock_gettime(CLOCK_MONOTONIC)

inline double nanoseconds_since(WorkerClock::time_point start) {
  return std::chrono::duration<double, std::nano>(WorkerClock::now() - start).count();
}

/// `batch(count)` does the operation that often and answers the nanoseconds that it took.
template <typename Batch>
double median_of_batches(std::chrono::nanoseconds budget, Batch batch) {
  constexpr double kBatches = 25;
  constexpr std::uint64_t kMostInBatch = std::uint64_t{1} << 30;
  const double batch_ns = static_cast<double>(budget.count()) / kBatches;
  batch(std::uint64_t{1});  // the first pays for cold caches and for the supervisor's threads
  std::uint64_t count = 1;
  double taken_ns = batch(count);
  while (taken_ns < batch_ns / 2 && count < kMostInBatch) {
    count *= 2;
    taken_ns = batch(count);
  }
  std::vector<double> means;
  const auto start = WorkerClock::now();
  do {
    means.push_back(batch(count) / static_cast<double>(count));
  } while (nanoseconds_since(start) < static_cast<double>(budget.count()));
  return summarize(std::move(means))->median;
}

/// Nanoseconds for one call of `operation`.
template <typename Operation>
double time_each(std::chrono::nanoseconds budget, Operation operation) {
  return median_of_batches(budget, [&operation](std::uint64_t count) {
    const auto start = WorkerClock::now();
    for (std::uint64_t i = 0; i < count; ++i) operation();
    return nanoseconds_since(start);
  });
}

/// The same for an operation that itself answers how long the part of interest took.
template <typename Operation>
double time_part(std::chrono::nanoseconds budget, Operation operation) {
  return median_of_batches(budget, [&operation](std::uint64_t count) {
    double sum_ns = 0;
    for (std::uint64_t i = 0; i < count; ++i) sum_ns += operation();
    return sum_ns;
  });
}

}  // namespace shmvisor
