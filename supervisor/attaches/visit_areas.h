// How a look at a process walks through its shared mappings.
//
// `go_on` is asked between steps; EAGAIN where it says no. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/attaches/memory_map.h"

namespace shmvisor {

/// By text, in short steps.
template <typename Visit, typename GoOn>
Result<void> visit_in_steps(const MemoryMap& map, Visit visit, GoOn go_on) {
  MapsText text = map.text();
  std::vector<MapsText::Area> areas;
  for (;;) {
    if (!go_on()) return Errno(EAGAIN);
    areas.clear();
    const auto more = text.read_on(true, areas);
    if (!more) return more.error();
    if (!*more) return {};
    for (const MapsText::Area& area : areas) visit(area.area);
  }
}

template <typename Visit, typename GoOn>
Result<void> visit_by_queries(MemoryMap& map, Visit visit, GoOn go_on) {
  for (std::uint64_t cursor = 0;;) {
    const auto area = map.area_above(cursor, Areas::kShared);
    if (!area) return area.error();
    if (!*area) return {};
    cursor = (*area)->range.end();
    if (!go_on()) return Errno(EAGAIN);
    visit(**area);
  }
}

}  // namespace shmvisor
