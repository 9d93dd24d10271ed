// ReleaseWatch: tells when a removed segment's last description may have gone, by inotify(7).
//
// The kernel queues IN_CLOSE before the munmap, exit or exec that dropped the last mapping of a
// description returns, so whoever asks afterwards finds the event there. But it does so before the
// description stops counting as open (__fput(): fsnotify_close(), later put_file_access()): who
// asks in between, on another CPU, finds the file in use, and is told of it again for a while.
// Where inotify is refused or full, every watched file is named at every asking instead, and
// needs_polling() is true.
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/release_events.h"

namespace shmvisor {

class ReleaseWatch {
 public:
  /// `again_for`: how long an event is told of, unless remove() ends it.
  explicit ReleaseWatch(ReleaseEvents& events,
                        std::chrono::milliseconds again_for = std::chrono::seconds(1))
      : events_(events), again_for_(again_for) {}
  ReleaseWatch(const ReleaseWatch&) = delete;
  ReleaseWatch& operator=(const ReleaseWatch&) = delete;
  ~ReleaseWatch();

  void add(const FileIdentity& file, const std::string& path);
  void remove(const FileIdentity& file);
  /// Files that may have been released since the last call, or not long before it.
  [[nodiscard]] std::vector<FileIdentity> take();

  /// Readable when take() has something to say; -1 where there is no such descriptor.
  [[nodiscard]] int fd() const { return events_.fd(); }
  /// Whether something was noted that nobody took yet.
  [[nodiscard]] bool has_news() const { return has_news_.load(std::memory_order_acquire); }
  /// Whether some files can only be watched by asking again, or are to be asked for again.
  [[nodiscard]] bool needs_polling();

  /// For ReleaseEvents: the watch `descriptor` has an event.
  void note(int descriptor);

 private:
  struct Watched {
    FileIdentity file;
    int descriptor = ReleaseEvents::kUnwatched;
  };

  using Clock = std::chrono::steady_clock;

  ReleaseEvents& events_;
  const std::chrono::milliseconds again_for_;
  std::atomic<bool> has_news_{false};
  std::mutex mutex_;
  std::vector<Watched> watched_;
  /// Watches with an event, and when it was noted.
  std::map<int, Clock::time_point> closed_;
};

}  // namespace shmvisor
