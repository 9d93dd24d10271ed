// KeptFile: a file of /proc that a call of a thread leaves open for the thread's next one.
//
// To open one takes several times as long as to ask it. What such a file shows is decided when it
// is opened: /proc/TID/maps shows the address space that the thread had then. So who keeps one says
// with a number of what state it is, and takes it back only with the same number.
//
// Bounds: caller_map_descriptors() of them in this process. Thread rule: any thread.
#pragma once

#include <cstdint>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class KeptFile {
 public:
  KeptFile() = default;
  KeptFile(const KeptFile&) = delete;
  KeptFile& operator=(const KeptFile&) = delete;
  ~KeptFile();

  /// What was kept with this `state`; nothing otherwise. It is not kept any more, whatever its
  /// state, so that another call of the thread, from a signal handler, opens one of its own.
  [[nodiscard]] UniqueFd take(std::uint64_t state);
  /// Closes it where as many are open as may be, or one is kept already.
  void keep(UniqueFd file, std::uint64_t state);

 private:
  Mutex mutex_;
  UniqueFd file_ GUARDED_BY(mutex_);
  std::uint64_t state_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
