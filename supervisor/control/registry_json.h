// Registries and segments as JSON, for clients (PROTOCOL.md).
//
// Thread rule: any thread; no lock of a registry may be held.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulation/ipc/viewpoint.h"
#include "emulation/memmap/file_identity.h"
#include "emulation/shm/registry.h"
#include "supervisor/control/named_registry.h"
#include "supervisor/control/protocol.h"

namespace shmvisor::control {

/// Ids and pids as this process sees them.
class OurViewpoint final : public Viewpoint {
 public:
  uid_t show_uid(uid_t uid) override { return uid; }
  gid_t show_gid(gid_t gid) override { return gid; }
  std::optional<uid_t> mean_uid(uid_t shown) override { return shown; }
  std::optional<gid_t> mean_gid(gid_t shown) override { return shown; }
  pid_t show_pid(const PidRecord& process) override { return process.pid; }
};

/// As ipcs(1) prints it.
[[nodiscard]] std::string key_text(key_t key);
[[nodiscard]] Json limits_of(const Limits& limits);
/// `room_for_users`: of the reply's users; those that are described are taken off.
[[nodiscard]] Json describe(const NamedRegistry& named, std::size_t& room_for_users);
/// What the row of a segment does not have.
struct SegmentFacts {
  std::shared_ptr<Segment> segment;
  FileIdentity file = {};  ///< its memory
  bool awaits_first_user = false;
};
/// Of those of the rows that still have a segment; the others are taken out.
[[nodiscard]] std::vector<SegmentFacts> facts_of(std::vector<ShmTableRow>& rows,
                                                 const Registry& registry);
[[nodiscard]] Json describe(const ShmTableRow& row, const SegmentFacts& facts);

}  // namespace shmvisor::control
