// ReleaseWatch: tells when a removed segment's last description may have gone, by inotify(7).
//
// The kernel queues IN_CLOSE before the munmap, exit or exec that dropped the last mapping of a
// description returns, so whoever asks afterwards finds the event there. Where inotify is refused
// or full, every watched file is named at every asking instead, and needs_polling() is true.
//
// Thread rule: any thread.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class ReleaseWatch {
 public:
  explicit ReleaseWatch(KernelFeatures& features);

  void add(const FileIdentity& file, const std::string& path);
  void remove(const FileIdentity& file);
  /// Files that may have been released since the last call.
  [[nodiscard]] std::vector<FileIdentity> take();

  /// Readable when take() has something to say; -1 where there is no such descriptor.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  /// Whether some files can only be watched by asking again and again.
  [[nodiscard]] bool needs_polling();

 private:
  static constexpr int kUnwatched = -1;
  struct Watched {
    FileIdentity file;
    int descriptor = kUnwatched;
  };

  UniqueFd inotify_;
  std::mutex mutex_;
  std::vector<Watched> watched_;
};

}  // namespace shmvisor
