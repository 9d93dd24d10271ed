// ReleaseWatch: tells when a removed segment's last description may have gone, by inotify(7).
//
// The kernel queues IN_CLOSE before the munmap, exit or exec that dropped the last mapping of a
// description returns, so that a later take() finds the event. But the description counts as open a
// moment longer (__fput(): fsnotify_close(), later put_file_access()). A thread on another CPU may
// find the file in use then; so take() repeats each event for a while. Where inotify is refused or
// full, every take() names every watched file, and needs_polling() is true. Where memory runs out,
// no event is lost: the next take() names more files instead.
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "policy/base/mutex.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/release_events.h"

namespace shmvisor {

class ReleaseWatch {
 public:
  /// `again_for`: how long an event is repeated, unless remove() ends it.
  explicit ReleaseWatch(ReleaseEvents& events,
                        std::chrono::milliseconds again_for = std::chrono::seconds(1))
      : events_(events), again_for_(again_for) {}
  ReleaseWatch(const ReleaseWatch&) = delete;
  ReleaseWatch& operator=(const ReleaseWatch&) = delete;
  ~ReleaseWatch();

  void add(const FileIdentity& file, const std::string& path);
  void remove(const FileIdentity& file);
  /// Files that may have been released since the last call, or shortly before it; at most `most`.
  /// The next call continues with the rest.
  [[nodiscard]] std::vector<FileIdentity> take(std::size_t most = SIZE_MAX);

  /// Readable when take() has something to answer; -1 without inotify.
  [[nodiscard]] int fd() const { return events_.fd(); }
  /// Whether there is an event that take() has not answered yet.
  [[nodiscard]] bool has_news() const { return has_news_.load(std::memory_order_acquire); }
  /// Whether take() has to be called again in a while: for files without a watch, or for events to
  /// repeat.
  [[nodiscard]] bool needs_polling();
  /// `told` is called when needs_polling() becomes true, in any thread, with locks held. Set before
  /// there are other threads.
  void tell_of_need(std::function<void()> told) { tell_of_need_ = std::move(told); }

  /// For ReleaseEvents: the watch `descriptor` has an event. Where there is no memory to note it,
  /// any file may have been released.
  void note(int descriptor) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  struct Closed {
    Clock::time_point noted;
    bool told = true;
  };

  void note_closed(int descriptor, Clock::time_point when) REQUIRES(mutex_);
  /// Makes up for events that could not be noted.
  void note_all_missed() REQUIRES(mutex_);
  void take_closed(std::size_t most, std::vector<FileIdentity>& released) REQUIRES(mutex_);
  void take_polled(std::size_t most, std::vector<FileIdentity>& released) REQUIRES(mutex_);

  ReleaseEvents& events_;
  const std::chrono::milliseconds again_for_;
  std::function<void()> tell_of_need_ = [] {};
  std::atomic<bool> has_news_{false};
  Mutex mutex_;
  /// The watch of each file, or kUnwatched.
  std::unordered_map<FileIdentity, int, FileIdentityHash> descriptors_ GUARDED_BY(mutex_);
  std::unordered_map<int, FileIdentity> files_ GUARDED_BY(mutex_);
  /// Watches with an event, until it has been repeated for long enough.
  std::unordered_map<int, Closed> closed_ GUARDED_BY(mutex_);
  /// The keys of closed_ in their order, and some that are gone from there.
  std::list<int> closed_order_ GUARDED_BY(mutex_);
  std::size_t untold_ GUARDED_BY(mutex_) = 0;      ///< of closed_
  bool missed_events_ GUARDED_BY(mutex_) = false;  ///< for want of memory
  /// Files without a watch, in the order in which they are named; some may be gone.
  std::list<FileIdentity> polled_ GUARDED_BY(mutex_);
  std::size_t polled_count_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
