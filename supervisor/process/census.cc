#include "supervisor/process/census.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>

#include "supervisor/process/memory_map.h"
#include "supervisor/process/proc_file.h"
#include "supervisor/process/process_stat.h"

namespace shmvisor {
namespace {

/// Where one process maps the files that are asked for: one list of addresses for each file.
struct Attached {
  pid_t pid = 0;
  std::vector<std::vector<std::uint64_t>> starts;
};

using FilePlaces = std::unordered_map<std::uint64_t, std::vector<std::size_t>>;

/// ESRCH where the task has no address space (any more).
Result<Attached> mappings_of_task(pid_t tid, std::span<const FileIdentity> files,
                                  const FilePlaces& places, KernelFeatures& features) {
  auto map = MemoryMap::open(tid, features);
  if (!map) return map.error();
  Attached attached{tid, std::vector<std::vector<std::uint64_t>>(files.size())};
  bool anything = false;
  for (std::uint64_t cursor = 0;;) {
    const auto area = map->area_above(cursor);
    if (!area) return area.error();
    if (!*area) break;
    anything = true;
    cursor = (*area)->range.end();
    const auto same_inode = places.find((*area)->file.inode);
    if (same_inode == places.end()) continue;
    for (const std::size_t place : same_inode->second) {
      if (files[place] == (*area)->file) attached.starts[place].push_back((*area)->range.start);
    }
  }
  if (!anything) return Errno(ESRCH);
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
  std::vector<Attached> counted;
  for (const pid_t pid : scope_.processes()) {
    Attached attached = mappings_in(pid, files, places, features_);
    if (!attached_at_all(attached)) continue;
    const bool seen = std::any_of(counted.begin(), counted.end(), [&](const Attached& other) {
      return other.starts == attached.starts && same_address_space(attached.pid, other.pid);
    });
    if (seen) continue;
    for (std::size_t place = 0; place < files.size(); ++place) {
      totals[place] += attached.starts[place].size();
    }
    counted.push_back(std::move(attached));
  }
  return totals;
}

bool Census::same_address_space(pid_t one, pid_t other) const {
  if (features_.usable(KernelFeature::kKcmp)) {
    const long order = ::syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0);
    if (order >= 0) return order == 0;
    if (errno == ESRCH) return false;
    features_.absent(KernelFeature::kKcmp);
  }
  const auto first = ProcessStat::read(one);
  const auto second = ProcessStat::read(other);
  if (!first || !second || first->memory != second->memory) return false;
  // The parent of a vfork child waits uninterruptibly until that has its own address space.
  return (first->ppid == other && second->state == 'D') ||
         (second->ppid == one && first->state == 'D');
}

}  // namespace shmvisor
