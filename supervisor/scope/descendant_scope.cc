#include "supervisor/scope/descendant_scope.h"

#include <unistd.h>

#include <algorithm>

#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/process_parent.h"
#include "supervisor/procfs/task_status.h"
#include "supervisor/tasks/closing_process.h"

namespace shmvisor {
namespace {

bool is_below(pid_t pid, pid_t root, const std::array<pid_t, 2>& left_out,
              const std::unordered_map<pid_t, pid_t>& parents) {
  // Pids may be reused while we read: a chain longer than the list is a ring.
  for (std::size_t steps = 0; steps <= parents.size(); ++steps) {
    if (std::ranges::find(left_out, pid) != left_out.end()) return false;
    const auto parent = parents.find(pid);
    if (parent == parents.end()) return false;
    pid = parent->second;
    if (pid == root) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<pid_t>> DescendantScope::processes() const {
  const Result<std::vector<int>> listed = numbered_entries("/proc");
  if (!listed) return listed.error();
  std::unordered_map<pid_t, pid_t> parents;
  parents.reserve(listed->size());
  for (const pid_t pid : *listed) {
    if (const auto parent = parent_of(pid)) parents.emplace(pid, *parent);
  }
  std::vector<pid_t> found;
  for (const pid_t pid : *listed) {
    if (ClosingProcess::is_one(pid)) continue;
    if (is_below(pid, getpid(), left_out_, parents)) found.push_back(pid);
  }
  return found;
}

std::optional<pid_t> DescendantScope::parent_of(pid_t pid) const {
  if (const auto parent = parent_by_pidfd(pid, features_)) return parent;
  // Not of /proc/PID/stat, which keeps its reader while the process is in the middle of an exec.
  const auto status = TaskStatus::read(pid);
  return status ? std::optional(status->ppid) : std::nullopt;
}

}  // namespace shmvisor
