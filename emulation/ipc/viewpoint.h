// Viewpoint: how the caller's namespaces show users, groups and processes.
//
// The registry keeps ids as the supervisor sees them. The kernel translates what it shows
// (from_kuid_munged(), pid_vnr()) and what it is told (make_kuid()) between the namespaces of the
// object and of whoever looks; so does this.
//
// Thread rule: one thread; lives for one call.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace shmvisor {

/// A process as it was when something recorded it: its number in our pid namespace, and in those
/// below it that it lived in.
struct PidRecord {
  struct Inner {
    std::uint64_t pid_namespace = 0;  ///< inode of ns/pid
    pid_t pid = 0;
  };

  pid_t pid = 0;  ///< 0: nobody
  /// Null for a process of our own pid namespace, which is nearly always so.
  std::shared_ptr<const std::vector<Inner>> inner;
};

class Viewpoint {
 public:
  Viewpoint() = default;
  Viewpoint(const Viewpoint&) = delete;
  Viewpoint& operator=(const Viewpoint&) = delete;
  virtual ~Viewpoint() = default;

  /// The overflow id (65534) where the namespace has none for it.
  [[nodiscard]] virtual uid_t show_uid(uid_t uid) = 0;
  [[nodiscard]] virtual gid_t show_gid(gid_t gid) = 0;
  /// Nothing where the id means nobody.
  [[nodiscard]] virtual std::optional<uid_t> mean_uid(uid_t shown) = 0;
  [[nodiscard]] virtual std::optional<gid_t> mean_gid(gid_t shown) = 0;
  /// 0 where the process cannot be seen from there.
  [[nodiscard]] virtual pid_t show_pid(const PidRecord& process) = 0;
};

}  // namespace shmvisor
