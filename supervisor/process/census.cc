#include "supervisor/process/census.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>

#include "supervisor/process/memory_map.h"
#include "supervisor/process/proc_file.h"

namespace shmvisor {
namespace {

/// What /proc/PID/stat says, as far as we need it.
struct ProcessStat {
  char state = '?';
  pid_t ppid = 0;
  std::string memory;  ///< the fields that belong to the address space
};

/// proc(5): the name in parentheses may hold anything, so fields are counted behind the last ')'.
Result<ProcessStat> read_stat(pid_t pid) {
  const auto text = read_proc_file(pid, "stat");
  if (!text) return text.error();
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return Errno(ESRCH);
  ProcessStat stat;
  std::size_t begin = name_end + 2;
  for (int field = 3; begin < text->size(); ++field) {
    const std::size_t end = std::min(text->find(' ', begin), text->size());
    const std::string_view value = std::string_view(*text).substr(begin, end - begin);
    if (field == 3) stat.state = value.empty() ? '?' : value.front();
    if (field == 4) std::from_chars(value.data(), value.data() + value.size(), stat.ppid);
    // vsize, rss; startcode to startstack; start_data to env_end
    if (field == 23 || field == 24 || (field >= 26 && field <= 28) ||
        (field >= 45 && field <= 51)) {
      stat.memory.append(value).push_back(' ');
    }
    begin = end + 1;
  }
  return stat;
}

/// The entries of a folder of /proc that are pids or tids.
std::vector<pid_t> numbered_entries(const std::string& path) {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
  if (folder == nullptr) return pids;
  while (const dirent* entry = ::readdir(folder.get())) {
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    pid_t pid = 0;
    const auto [rest, error] = std::from_chars(entry->d_name, end, pid);
    if (error == std::errc() && rest == end) pids.push_back(pid);
  }
  return pids;
}

/// Where one process maps the file.
struct Attached {
  pid_t pid = 0;
  std::vector<std::uint64_t> starts;
};

/// ESRCH where the task has no address space (any more).
Result<std::vector<std::uint64_t>> mapping_starts(pid_t tid, const FileIdentity& file,
                                                  KernelFeatures& features) {
  auto map = MemoryMap::open(tid, features);
  if (!map) return map.error();
  std::vector<std::uint64_t> starts;
  bool anything = false;
  for (std::uint64_t cursor = 0;;) {
    const auto area = map->area_above(cursor);
    if (!area) return area.error();
    if (!*area) break;
    anything = true;
    cursor = (*area)->range.end();
    if ((*area)->file == file) starts.push_back((*area)->range.start);
  }
  if (!anything) return Errno(ESRCH);
  return starts;
}

Attached mappings_in(pid_t pid, const FileIdentity& file, KernelFeatures& features) {
  auto starts = mapping_starts(pid, file, features);
  if (!starts && starts.error() == Errno(ESRCH)) {
    // A process whose first thread has ended shows its memory through the others.
    for (const pid_t tid : numbered_entries(proc_path(pid, "task"))) {
      starts = mapping_starts(tid, file, features);
      if (starts) break;
    }
  }
  return {pid, starts ? std::move(*starts) : std::vector<std::uint64_t>()};
}

}  // namespace

std::vector<pid_t> Census::descendants() const {
  const std::vector<pid_t> pids = numbered_entries("/proc");
  std::unordered_map<pid_t, pid_t> parents;
  parents.reserve(pids.size());
  for (const pid_t pid : pids) {
    if (const auto stat = read_stat(pid)) parents.emplace(pid, stat->ppid);
  }
  const pid_t self = getpid();
  std::vector<pid_t> found;
  for (const pid_t pid : pids) {
    pid_t ancestor = pid;
    // Pids may be reused while we read: a chain longer than the list is a ring.
    for (std::size_t steps = 0; steps <= pids.size(); ++steps) {
      const auto parent = parents.find(ancestor);
      if (parent == parents.end()) break;
      ancestor = parent->second;
      if (ancestor == self) {
        found.push_back(pid);
        break;
      }
    }
  }
  return found;
}

std::uint64_t Census::count_mappings(const FileIdentity& file) const {
  std::vector<Attached> counted;
  std::uint64_t total = 0;
  for (const pid_t pid : descendants()) {
    Attached attached = mappings_in(pid, file, features_);
    if (attached.starts.empty()) continue;
    const bool seen = std::any_of(counted.begin(), counted.end(), [&](const Attached& other) {
      return other.starts == attached.starts && same_address_space(pid, other.pid);
    });
    if (seen) continue;
    total += attached.starts.size();
    counted.push_back(std::move(attached));
  }
  return total;
}

bool Census::same_address_space(pid_t one, pid_t other) const {
  if (features_.usable(KernelFeature::kKcmp)) {
    const long order = ::syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0);
    if (order >= 0) return order == 0;
    if (errno == ESRCH) return false;
    features_.absent(KernelFeature::kKcmp);
  }
  const auto first = read_stat(one);
  const auto second = read_stat(other);
  if (!first || !second || first->memory != second->memory) return false;
  // The parent of a vfork child waits uninterruptibly until that has its own address space.
  return (first->ppid == other && second->state == 'D') ||
         (second->ppid == one && first->state == 'D');
}

}  // namespace shmvisor
