// ReleaseWatch: tells when a removed segment's last description may have gone, by inotify(7).
//
// The kernel queues IN_CLOSE before the munmap, exit or exec that dropped the last mapping of a
// description returns, so whoever asks afterwards finds the event there. Where inotify is refused
// or full, every watched file is named at every asking instead, and needs_polling() is true.
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/release_events.h"

namespace shmvisor {

class ReleaseWatch {
 public:
  explicit ReleaseWatch(ReleaseEvents& events) : events_(events) {}
  ReleaseWatch(const ReleaseWatch&) = delete;
  ReleaseWatch& operator=(const ReleaseWatch&) = delete;
  ~ReleaseWatch();

  void add(const FileIdentity& file, const std::string& path);
  void remove(const FileIdentity& file);
  /// Files that may have been released since the last call.
  [[nodiscard]] std::vector<FileIdentity> take();

  /// Readable when take() has something to say; -1 where there is no such descriptor.
  [[nodiscard]] int fd() const { return events_.fd(); }
  /// Whether something was noted that nobody took yet.
  [[nodiscard]] bool has_news() const { return has_news_.load(std::memory_order_acquire); }
  /// Whether some files can only be watched by asking again and again.
  [[nodiscard]] bool needs_polling();

  /// For ReleaseEvents: the watch `descriptor` has an event.
  void note(int descriptor);

 private:
  struct Watched {
    FileIdentity file;
    int descriptor = ReleaseEvents::kUnwatched;
  };

  ReleaseEvents& events_;
  std::atomic<bool> has_news_{false};
  std::mutex mutex_;
  std::vector<Watched> watched_;
  std::set<int> closed_;
};

}  // namespace shmvisor
