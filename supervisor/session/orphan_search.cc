#include "supervisor/session/orphan_search.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <vector>

#include "policy/base/shortage.h"
#include "supervisor/kernel/lasting_pid.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// The first thread of a process may have ended while its other threads live.
bool has_ended(const PidRecord& process) {
  if (process.pid == 0) return false;  // nobody knows
  const auto status = TaskStatus::read(process.pid);
  if (!status) return !is_shortage(status.error());
  if (status->state == 'X') return true;
  if (status->state != 'Z') return false;
  const auto threads = numbered_entries("/proc/" + std::to_string(process.pid) + "/task");
  return threads ? threads->size() <= 1 : !is_shortage(threads.error());
}

bool is_abandoned(const Segment& segment) {
  const PidRecord user = segment.stamps().lpid;
  return has_ended(segment.cpid()) && (user.pid == 0 || has_ended(user));
}

/// Precondition: the registry's lock is held.
bool may_go(const RegistryState& state, const Segment& segment) {
  return (state.of(segment).perm.mode & abi::kShmDest) == 0 && !segment.in_use() &&
         !awaits_its_first_user(state, segment);
}

/// False if a process has attached the segment meanwhile.
bool remove(Registry& registry, const std::shared_ptr<Segment>& segment) {
  const std::int64_t attached_at = segment->stamps().atime;
  Dropped dropped;
  {
    Registry::WriteGuard state = registry.write();
    const auto found = state->find(segment->id());
    if (!found || *found != segment || !may_go(*state, *segment) ||
        segment->stamps().atime != attached_at) {
      return false;
    }
    state.apply(RemoveSegment{segment, CleanedBy::kOrphaned}, dropped);
  }
  dropped.free();
  return true;
}

}  // namespace

bool awaits_its_first_user(const RegistryState& state, const Segment& segment) {
  const auto& creator = state.of(segment).creator;
  return creator && creator->tid == lasting_pid() && !segment.was_opened();
}

void OrphanSearch::look(const Registries& registries) {
  Suspects found;
  look_in(*registries.initial(), found);
  for (const IpcNamespaceId id : registries.others()) {
    // The registry may have ended meanwhile.
    if (const auto registry = registries.find(id)) look_in(*registry, found);
  }
  suspects_ = std::move(found);
}

void OrphanSearch::look_in(Registry& registry, Suspects& found) const {
  std::vector<std::shared_ptr<Segment>> unmapped;
  {
    const auto state = registry.read();
    state->for_each([&](const std::shared_ptr<Segment>& segment) {
      if (may_go(*state, *segment)) unmapped.push_back(segment);
    });
  }
  for (const auto& segment : unmapped) {
    if (!is_abandoned(*segment)) continue;
    const std::pair<const Registry*, int> name(&registry, segment->id());
    if (!suspects_.contains(name)) {
      found.insert(name);
    } else if (remove(registry, segment)) {
      spdlog::info("segment {} of user {} is removed: those who used it have ended", segment->id(),
                   segment->account());
    }
  }
}

}  // namespace shmvisor
