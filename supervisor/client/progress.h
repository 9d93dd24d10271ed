// Progress: how far long work has come, for people who wait: a line at the terminal that standard
// error is, from a second on. Elsewhere nothing.
//
// Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace shmvisor::client {

class Progress {
 public:
  /// `what`: "segment 3". `all_bytes` is 0 where nobody knows how much there is.
  Progress(std::string what, std::uint64_t all_bytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Removes the line.
  ~Progress();

  /// So much is done. Cheap: it may be called for each piece.
  void at(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  const std::string what_;
  const std::uint64_t all_bytes_;
  const bool is_seen_;
  Clock::time_point next_;
  bool has_line_ = false;
};

}  // namespace shmvisor::client
