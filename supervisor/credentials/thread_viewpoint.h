// ThreadViewpoint: translates ids between our user and pid namespace and those of a thread.
//
// Id maps are read from /proc/TID/uid_map and gid_map, for a thread in another user namespace than
// ours. Their "outside" column is in terms of our user namespace (user_namespaces(7)).
//
// Thread rule: one thread.
#pragma once

#include <optional>
#include <vector>

#include "emulation/ipc/viewpoint.h"
#include "supervisor/credentials/thread_identity.h"

namespace shmvisor {

/// The record of the process `tgid`, of which `tid` is a thread. Errors: shortages on our side.
[[nodiscard]] Result<PidRecord> record_process(pid_t tid, pid_t tgid);

class ThreadViewpoint : public Viewpoint {
 public:
  explicit ThreadViewpoint(std::shared_ptr<ThreadIdentity> thread) : thread_(std::move(thread)) {}

  uid_t show_uid(uid_t uid) override;
  gid_t show_gid(gid_t gid) override;
  std::optional<uid_t> mean_uid(uid_t shown) override;
  std::optional<gid_t> mean_gid(gid_t shown) override;
  pid_t show_pid(const PidRecord& process) override;

  /// Whether something could not be read. Then the ids that this object translated must not be
  /// used.
  [[nodiscard]] bool cannot_tell() const { return cannot_tell_; }

  /// The record of a process that this thread belongs to.
  [[nodiscard]] PidRecord record(pid_t tgid);

 private:
  /// One line of an id map.
  struct Extent {
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t count = 0;
  };
  using IdMap = std::vector<Extent>;

  /// Null where the thread's user namespace is ours.
  const IdMap* map(std::optional<IdMap>& cache, const char* name);
  static std::uint32_t show(const IdMap* map, std::uint32_t id);
  static std::optional<std::uint32_t> mean(const IdMap* map, std::uint32_t shown);

  std::shared_ptr<ThreadIdentity> thread_;
  std::optional<IdMap> uid_map_;
  std::optional<IdMap> gid_map_;
  bool cannot_tell_ = false;
};

}  // namespace shmvisor
