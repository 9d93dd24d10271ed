// MountIdentity: the mount that a descriptor lies in, and its file system, without a request to
// that.
//
// statfs(2) and stat(2) would ask the file system, which may be another process's FUSE and never
// answer. /proc/self/fdinfo has the mount, and /proc/self/mountinfo its type and source.
//
// Async-signal-safe: for a forked child. Thread rule: one thread.
#pragma once

#include <cstddef>

namespace shmvisor {

class MountIdentity {
 public:
  /// `own_proc`: a descriptor of a /proc that shows this process; borrowed.
  explicit MountIdentity(int own_proc) : own_proc_(own_proc) {}

  /// Whether both lie in one mount. False where that cannot be told.
  [[nodiscard]] bool is_same(int fd, int other) const;
  /// Whether `fd` lies in a mount of the current mount namespace, of that type and, if not null,
  /// that source.
  [[nodiscard]] bool is_of(int fd, const char* type, const char* source) const;

 private:
  /// -1 where it cannot be told.
  [[nodiscard]] long mount_of(int fd) const;

  const int own_proc_;
};

}  // namespace shmvisor
