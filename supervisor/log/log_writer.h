// LogWriter: writes lines to a descriptor whose reader may be slow or stopped, or may never read.
//
// A write(2) to a pipe that nobody reads, or to a terminal stopped by Ctrl-S, may block for ever.
// So a thread that logs only queues its line, and one thread writes; that thread may be lost. It is
// created with the first line, and sleeps while the queue is empty. Lines beyond the bound are
// dropped and counted; the count is written in their place.
//
// Lines stay whole: one write(2) has no more bytes than a pipe takes without mixing them with those
// of other writers.
//
// Errors: lines whose reader is gone are dropped. Ownership: borrows the descriptor until the
// writing thread ends, which may be after the LogWriter. Thread rule: any thread, but not a forked
// child. No other lock is taken while its own is held.
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
  /// Queued lines are still written, if the process lives for long enough.
  ~LogWriter();

  /// Whether a thread of its own writes; otherwise flush() does. Precondition of a change: there is
  /// no such thread.
  void use_thread(bool use) noexcept;

  /// `line` with its newline.
  void add(std::string_view line) noexcept;
  /// Counts a line that could not be formatted.
  void lose_one() noexcept;
  /// Waits until all lines queued before are written. False where the bound comes first. Where no
  /// thread can be created, the calling thread writes, while the descriptor is ready.
  bool flush(std::chrono::milliseconds bound) noexcept;

 private:
  struct State;

  const std::shared_ptr<State> state_;  ///< the thread's too
};

}  // namespace shmvisor
