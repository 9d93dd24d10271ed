#include "supervisor/journal/state_restore.h"

#include <utility>

#include "supervisor/saved/segment_copy.h"

namespace shmvisor {
namespace {

using journal::RecoveredRegistry;
using journal::RecoveredSegment;

void change(Registry& registry, const Change& change) {
  Dropped dropped;
  { registry.write().apply(change, dropped); }
  dropped.free();
}

BackingRequest request_of(const RecoveredSegment& recovered) {
  BackingRequest request = saved::request_of(recovered.segment, recovered.live.name_key);
  request.commit = recovered.live.committed;
  return request;
}

Segment::Creation creation_of(const RecoveredSegment& recovered) {
  Segment::Creation creation = saved::creation_of(recovered.segment);
  if (recovered.live.removed) creation.perm.mode |= abi::kShmDest;
  creation.cpid.inner = recovered.live.cpid_inner;
  creation.creator = recovered.live.creator;
  return creation;
}

Result<std::shared_ptr<Segment>, std::string> adopt(const RecoveredSegment& recovered,
                                                    Machine& machine) {
  const FileIdentity identity{recovered.live.device, recovered.segment.inode};
  auto memory = machine.adopt_memory(recovered.live.fd, identity, request_of(recovered));
  if (!memory) {
    return "has segment " + std::to_string(recovered.segment.id) + ", whose memory is not at " +
           "descriptor " + std::to_string(recovered.live.fd);
  }
  auto segment = std::make_shared<Segment>(creation_of(recovered), std::move(*memory));
  saved::set_stamps(*segment, recovered.stamps);
  segment->set_was_opened(recovered.was_opened);
  return segment;
}

Result<void, std::string> restore(const RecoveredRegistry& recovered,
                                  const std::shared_ptr<Registry>& registry, Machine& machine,
                                  RestoredState& restored) {
  const saved::RegistryState& settings = recovered.settings.state;
  for (const auto& [index, one] : recovered.segments) {
    auto segment = adopt(one, machine);
    if (!segment) return segment.error();
    restored.descriptors.push_back(one.live.fd);
    change(*registry, InsertSegment{saved::free_id_of(one.segment.id), *segment});
    if ((one.segment.perm.mode & abi::kShmLocked) == 0) continue;
    change(*registry, SetLocked{*segment, true, one.segment.locked_by});
    restored.locked.push_back({registry, *segment});
  }
  registry->set_limits({settings.limits.shmmax, settings.limits.shmall, settings.limits.shmmni});
  change(*registry, SetIdCursor{settings.cursor});
  change(*registry, SetNextId{settings.next_id});
  return {};
}

}  // namespace

Result<RestoredState, std::string> restore_state(const journal::RecoveredState& state,
                                                 std::uint32_t session, Registries& registries,
                                                 Machine& machine) {
  // While no registry has anything that it could end: what ends before the journal observes it
  // would stay in the state.
  for (const auto& [number, recovered] : state.registries) {
    if (recovered.settings.session != session) continue;
    registries.of(recovered.settings.ipc_namespace)
        ->set_rmid_forced(recovered.settings.state.rmid_forced);
  }
  RestoredState restored;
  for (const auto& [number, recovered] : state.registries) {
    if (recovered.settings.session != session) continue;
    const auto into = registries.of(recovered.settings.ipc_namespace);
    if (auto done = restore(recovered, into, machine, restored); !done) return done.error();
  }
  return restored;
}

void finish_restore(const journal::RecoveredState& state, std::uint32_t session,
                    Registries& registries) {
  for (const auto& [number, recovered] : state.registries) {
    if (recovered.settings.session != session) continue;
    const auto registry = registries.find(recovered.settings.ipc_namespace);
    if (registry == nullptr) continue;
    const auto segments = registry->read()->all();
    for (const auto& segment : segments) {
      if (segment->ends_unmapped()) change(*registry, DropIfOver{segment});
    }
    registry->settle();
  }
}

void lock_again(const RestoredState& restored) {
  for (const auto& locked : restored.locked) {
    locked.segment->renew_lock([&locked] { return locked.registry->lock_mode(*locked.segment); });
  }
}

}  // namespace shmvisor
