#include "supervisor/attaches/waiting_process.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "supervisor/attaches/kept_maps.h"
#include "supervisor/attaches/known_mappings.h"
#include "supervisor/attaches/own_thread.h"
#include "supervisor/attaches/visit_areas.h"

namespace shmvisor {
namespace {

/// CPU time, of count_anew(): a few thousand mappings.
constexpr std::chrono::milliseconds kMostWork(5);
constexpr int kBetweenGlances = 64;  ///< at the clock, which takes longer than a mapping

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

std::optional<std::vector<std::uint64_t>> count_anew(pid_t waiting,
                                                     std::span<const FileIdentity> files,
                                                     const KernelFeatures& features) {
  // Without queries all of the map would be read, however long it is.
  if (!features.usable(KernelFeature::kProcmapQuery)) return std::nullopt;
  KernelFeatures own_features = features;
  auto map = MemoryMap::open(waiting, own_features);
  if (!map) return std::nullopt;
  const pid_t own = gettid();
  const auto began = cpu_time(own);
  std::vector<std::uint64_t> found(files.size());
  int areas = 0;
  const auto go_on = [&] {
    return ++areas % kBetweenGlances != 0 || cpu_time(own) - began < kMostWork;
  };
  const auto visit = [&](const MappedArea& area) {
    for (std::size_t place = 0; place < files.size(); ++place) {
      if (files[place] == area.file) ++found[place];
    }
  };
  if (!visit_by_queries(*map, visit, go_on)) return std::nullopt;
  return found;
}

}  // namespace shmvisor
