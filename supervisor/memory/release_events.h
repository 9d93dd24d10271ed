// ReleaseEvents: one inotify(7) instance, and which ReleaseWatch each of its watches belongs to.
//
// A user has few instances (128 by default) but many watches. So all sessions share one instance.
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

  /// From now on `watch` is notified when the file is closed. Answers the watch's number, or
  /// kUnwatched.
  int add(const std::string& path, ReleaseWatch& watch);
  void remove(int descriptor);
  /// Delivers the events up to now.
  void pump() noexcept;

  /// Readable when pump() has something to do; -1 where there is no such descriptor.
  [[nodiscard]] int fd() const { return inotify_.get(); }

 private:
  UniqueFd inotify_;
  Mutex mutex_;
  std::unordered_map<int, ReleaseWatch*> watches_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
