// LogWriter: writes lines to a descriptor whose reader may be slow, stopped or never read.
//
// A pipe that nobody reads and a terminal that Ctrl-S stopped keep a write(2) for as long as others
// like. So whoever has a line only queues it, and one thread writes, which may be lost. That thread
// is made with the first line; while there are none it sleeps. Lines beyond the bound are lost and
// counted; the count is written where they would have been.
//
// Lines stay whole: as many are written at once as a pipe takes without mixing them with those of
// other writers.
//
// Errors: what cannot be written because its reader is gone is dropped. Ownership: borrows the
// descriptor, also when the LogWriter is gone, for as long as its thread is kept. Thread rule: any
// thread, but not a forked child. Its lock is the last of all.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace shmvisor {

class LogWriter {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;

  explicit LogWriter(int fd, std::size_t most_bytes = kMostBytes);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  /// What is queued is still written, if the process lives for long enough.
  ~LogWriter();

  /// `line` with its newline.
  void add(std::string_view line) noexcept;
  /// A line could not be made.
  void lose_one() noexcept;
  /// Waits until all is written that was queued before. False where the bound comes first. Where no
  /// thread can be had to write, whoever calls does it, while the descriptor is ready for it.
  bool flush(std::chrono::milliseconds bound) noexcept;

 private:
  struct State;

  const std::shared_ptr<State> state_;  ///< the thread's too
};

}  // namespace shmvisor
