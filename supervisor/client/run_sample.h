// RunSample: a run at one time: its registries, what is used of them, and what calls added up to.
//
// Errors: a Problem; a reply that cannot be understood throws an exception of nlohmann's. Thread
// rule: one thread for each connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// One registry.
struct RegistrySample {
  struct Call {
    std::string name;
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
    std::uint64_t took_ns = 0;          ///< all together
    std::vector<std::uint64_t> within;  ///< by RunSample::bounds_ns; the last exceed all
  };
  std::string name;
  std::uint64_t segments = 0;
  std::uint64_t removed_segments = 0;  ///< that are still attached
  std::uint64_t attaches = 0;
  std::uint64_t pages = 0;
  std::uint64_t resident_pages = 0;
  std::uint64_t swapped_pages = 0;
  std::uint64_t shmmni = 0;
  std::uint64_t shmmax = 0;  ///< in bytes
  std::uint64_t shmall = 0;  ///< in pages
  std::vector<Call> calls;
  std::vector<std::pair<std::string, std::uint64_t>> refusals;  ///< by reason
};

struct RunSample {
  RunConnection::Hello hello;
  std::uint64_t lost = 0;  ///< calls that followers were not told of
  std::vector<std::uint64_t> bounds_ns;
  std::vector<RegistrySample> registries;  ///< their names differ
};

/// Of a connection that has its hello. `each_segment`, where there is one, gets all segments, each
/// with the name of its registry; none is kept, since there may be very many.
Result<RunSample, Problem> take_sample(
    RunConnection& run,
    const std::function<void(const std::string&, const Json&)>& each_segment = nullptr);

/// What all runs answered within a bound.
struct Scrape {
  std::vector<RunSample> runs;
  std::size_t unanswered = 0;  ///< runs that did not answer in time, or not properly
  std::chrono::nanoseconds took{0};
};

/// Where a run may listen.
struct RunPlace {
  std::string path;
  bool is_named = false;  ///< an operator waits for that one
};

/// Asks all at once, each in a thread of its own, so that none waits for another. Sockets at which
/// nobody listens are passed over, but for those that are named: these count as unanswered.
Scrape scrape_runs(const std::vector<RunPlace>& places, std::chrono::milliseconds bound);

}  // namespace shmvisor::client
