#include "supervisor/process/descendant_scope.h"

#include <unistd.h>

#include <unordered_map>

#include "supervisor/process/proc_file.h"
#include "supervisor/process/process_stat.h"

namespace shmvisor {

std::vector<pid_t> DescendantScope::processes() const {
  const std::vector<pid_t> pids = numbered_entries("/proc");
  std::unordered_map<pid_t, pid_t> parents;
  parents.reserve(pids.size());
  for (const pid_t pid : pids) {
    if (const auto stat = ProcessStat::read(pid)) parents.emplace(pid, stat->ppid);
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

}  // namespace shmvisor
