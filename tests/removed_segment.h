// A removed segment that is still mapped here, as calls would have made it.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "supervisor/memory/machine.h"
#include "supervisor/scope/process_scope.h"
#include "supervisor/session/session.h"

namespace shmvisor {

/// One page, in the initial registry of the session. Returns where it is mapped; the test unmaps
/// it.
inline void* map_removed_segment(Session& session, SessionResources& resources,
                                 const ProcessScope& scope) {
  Machine machine(resources.machine, scope);
  auto memory = machine.create_memory({.name = "SYSV00000000", .size_bytes = kPageBytes});
  auto file = (*memory)->open(kAnyAccess);
  void* const mapped = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, file->fd.get(), 0);
  file->fd.reset();
  Registry::WriteGuard state = session.registries().initial()->write();
  const auto free = state->next_id();
  Segment::Creation creation;
  creation.id = free->id;
  creation.size_bytes = kPageBytes;
  const auto segment = std::make_shared<Segment>(std::move(creation), std::move(*memory));
  Dropped dropped;
  state.apply(InsertSegment{*free, segment}, dropped);
  segment->begin_opening();
  state.apply(RemoveSegment{segment}, dropped);
  segment->end_opening();
  return mapped;
}

}  // namespace shmvisor
