// MountIdentity: the mount that a descriptor lies in, and its file system, without a request to
// that.
//
// statfs(2) and stat(2) would ask the file system, which may be another process's FUSE and never
// answer. /proc/self/fdinfo has the mount, and /proc/self/mountinfo its type and source.
//
// Async-signal-safe: for a child process. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

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
  /// The mount's id, as in mountinfo; -1 where it cannot be told.
  [[nodiscard]] long mount_of(int fd) const;

  /// Mounts of the current mount namespace that are below the current root. More than these are not
  /// counted.
  static constexpr std::size_t kMostMounts = 16384;
  /// How many of them are of that type and source; nothing where that cannot be told. Sets
  /// `found[i]` where `mounts[i]` is the id of one. Precondition: both have one size.
  [[nodiscard]] std::optional<std::size_t> count(const char* type, const char* source,
                                                 std::span<const long> mounts,
                                                 std::span<bool> found) const;

 private:
  const int own_proc_;
};

}  // namespace shmvisor
