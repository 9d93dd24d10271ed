#include "supervisor/process/census.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>

#include "supervisor/process/borrowed_identity.h"
#include "supervisor/process/memory_map.h"
#include "supervisor/process/proc_file.h"
#include "supervisor/process/process_stat.h"

namespace shmvisor {
namespace {

using Attached = Census::Attached;
using FilePlaces = std::unordered_map<std::uint64_t, std::vector<std::size_t>>;

/// ESRCH where the task has no address space (any more).
Result<Attached> mappings_of_task(pid_t tid, std::span<const FileIdentity> files,
                                  const FilePlaces& places, KernelFeatures& features) {
  auto map = MemoryMap::open(tid, features);
  if (!map) return map.error();
  Attached attached{tid, std::vector<std::vector<std::uint64_t>>(files.size())};
  for (std::uint64_t cursor = 0;;) {
    const auto area = map->area_above(cursor, Areas::kShared);
    if (!area) return area.error();
    if (!*area) break;
    cursor = (*area)->range.end();
    const auto same_inode = places.find((*area)->file.inode);
    if (same_inode == places.end()) continue;
    for (const std::size_t place : same_inode->second) {
      if (files[place] == (*area)->file) attached.starts[place].push_back((*area)->range.start);
    }
  }
  return attached;
}

Attached mappings_in(pid_t pid, std::span<const FileIdentity> files, const FilePlaces& places,
                     KernelFeatures& features) {
  auto found = mappings_of_task(pid, files, places, features);
  if (!found && found.error() == Errno(ESRCH)) {
    // A process whose first thread has ended shows its memory through the others.
    for (const pid_t tid : numbered_entries(proc_path(pid, "task"))) {
      found = mappings_of_task(tid, files, places, features);
      if (found) break;
    }
  }
  return found ? std::move(*found) : Attached();
}

/// kcmp(2), which takes ptrace rights over both.
Result<long> compare_memory(pid_t one, pid_t other) {
  return reach(one, kToTrace, [&]() -> Result<long> {
    const long order = ::syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0);
    return order < 0 ? Result<long>(Errno::current()) : order;
  });
}

/// Without kcmp: the parent of a vfork child waits uninterruptibly until that has its own address
/// space.
bool vfork_pair(pid_t one, pid_t other) {
  const auto first = ProcessStat::read(one);
  const auto second = ProcessStat::read(other);
  if (!first || !second || first->memory != second->memory) return false;
  return (first->ppid == other && second->state == 'D') ||
         (second->ppid == one && first->state == 'D');
}

bool attached_at_all(const Attached& attached) {
  return std::any_of(attached.starts.begin(), attached.starts.end(),
                     [](const auto& starts) { return !starts.empty(); });
}

}  // namespace

std::vector<std::uint64_t> Census::count_mappings(std::span<const FileIdentity> files) const {
  std::vector<std::uint64_t> totals(files.size());
  if (files.empty()) return totals;
  FilePlaces places;
  for (std::size_t place = 0; place < files.size(); ++place) {
    places[files[place].inode].push_back(place);
  }
  std::vector<Attached> counted;  // in the order of kcmp(2), while that is allowed
  for (const pid_t pid : scope_.processes()) {
    Attached attached = mappings_in(pid, files, places, features_);
    if (!attached_at_all(attached)) continue;
    const auto place_in_order = find_place(attached, counted);
    if (!place_in_order) continue;
    for (std::size_t place = 0; place < files.size(); ++place) {
      totals[place] += attached.starts[place].size();
    }
    counted.insert(counted.begin() + static_cast<std::ptrdiff_t>(*place_in_order),
                   std::move(attached));
  }
  return totals;
}

std::optional<std::size_t> Census::find_place(const Attached& attached,
                                              const std::vector<Attached>& counted) const {
  std::size_t low = 0;
  std::size_t high = counted.size();
  while (low < high && features_.usable(KernelFeature::kKcmp)) {
    const std::size_t middle = low + (high - low) / 2;
    // 0: the same, 1: before, 2: behind, in an order of the kernel's own.
    const Result<long> order = compare_memory(attached.pid, counted[middle].pid);
    if (order && *order == 0) return std::nullopt;
    if (!order && order.error() == Errno(ESRCH)) return counted.size();  // one of them has ended
    if (!order) {
      features_.absent(KernelFeature::kKcmp);
      break;
    }
    if (*order == 1) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (features_.usable(KernelFeature::kKcmp)) return low;
  const bool seen = std::any_of(counted.begin(), counted.end(), [&](const Attached& other) {
    return other.starts == attached.starts && vfork_pair(attached.pid, other.pid);
  });
  return seen ? std::nullopt : std::optional(counted.size());
}

}  // namespace shmvisor
