// SignsOfLife: keeps a run from dropping a client that moves much memory and asks nothing
// meanwhile. The run drops one that is silent for 30 s.
//
// Errors: a Problem where the run does not hear. Ownership: borrows the connection. Thread rule:
// one thread.
#pragma once

#include <chrono>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

class SignsOfLife {
 public:
  explicit SignsOfLife(RunConnection& run) : run_(run) {}

  /// Tells the run, now and then. To be called between pieces of the work.
  Result<void, Problem> give() {
    if (Clock::now() < next_at_) return {};
    const auto heard = run_.ask({{"request", "still-there"}});
    if (!heard) return heard.error();
    next_at_ = Clock::now() + kBetween;
    return {};
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kBetween{10};

  RunConnection& run_;
  Clock::time_point next_at_ = Clock::now() + kBetween;
};

}  // namespace shmvisor::client
