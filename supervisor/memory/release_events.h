// ReleaseEvents: one inotify(7) instance, and who wants to know of which of its watches.
//
// A user has few instances (128 by default) but many watches, so that everybody shares one.
//
// Lock order: mutex_, then that of a ReleaseWatch. Thread rule: any thread.
#pragma once

#include <string>
#include <unordered_map>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class ReleaseWatch;

class ReleaseEvents {
 public:
  static constexpr int kUnwatched = -1;

  explicit ReleaseEvents(KernelFeatures& features);

  /// Tells `watch` of closes of the file from now on. The watch's number, or kUnwatched.
  int add(const std::string& path, ReleaseWatch& watch);
  void remove(int descriptor);
  /// Hands out what has happened up to now.
  void pump();

  /// Readable when pump() has something to do; -1 where there is no such descriptor.
  [[nodiscard]] int fd() const { return inotify_.get(); }

 private:
  UniqueFd inotify_;
  Mutex mutex_;
  std::unordered_map<int, ReleaseWatch*> watches_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
