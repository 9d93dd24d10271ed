#include "supervisor/attaches/waiting_process.h"

#include <chrono>
#include <utility>

#include "supervisor/attaches/kept_maps.h"
#include "supervisor/attaches/known_mappings.h"

namespace shmvisor {
namespace {

/// Nothing where it takes long, or the map shows nothing any more.
std::optional<std::uint64_t> count_in(MemoryMap& map, const FileIdentity& file) {
  const auto began = KeptMaps::Clock::now();
  std::uint64_t found = 0;
  for (std::uint64_t cursor = 0;;) {
    const auto area = map.area_above(cursor, Areas::kShared);
    if (!area || KeptMaps::Clock::now() - began >= KnownMappings::kSlow) return std::nullopt;
    if (!*area) return found;
    cursor = (*area)->range.end();
    if ((*area)->file == file) ++found;
  }
}

std::optional<std::uint64_t> count_in_new_map(
    pid_t waiting, const FileIdentity& file, const KernelFeatures& features,
    const std::shared_ptr<const DistinctProcesses>& distinct) {
  auto map = KeptMaps::all().open(waiting, features, distinct);
  if (!map) return std::nullopt;
  const auto found = count_in((*map)->map(), file);
  if (found) KeptMaps::all().keep(waiting, std::move(*map));
  return found;
}

}  // namespace

std::optional<std::uint64_t> count_alone(pid_t waiting, const FileIdentity& file,
                                         const KernelFeatures& features) {
  if (const auto kept = KeptMaps::all().of(waiting)) {
    if (const auto found = count_in(kept->map(), file)) return found;
    KeptMaps::all().drop(waiting);  // by an exec, most likely
  }
  return count_in_new_map(waiting, file, features, nullptr);
}

std::optional<std::uint64_t> count_among_resting(
    pid_t waiting, const FileIdentity& file, const KernelFeatures& features,
    const std::shared_ptr<const DistinctProcesses>& distinct) {
  if (const auto kept = KeptMaps::all().of(waiting)) {
    const auto found = count_in(kept->map(), file);
    if (!found) KeptMaps::all().drop(waiting);
    const bool known = distinct != nullptr && kept->distinct() == distinct.get() &&
                       distinct->has(waiting, kept->inode());
    if (found && (*found == 0 || known)) return found;
  }
  return count_in_new_map(waiting, file, features, distinct);
}

}  // namespace shmvisor
