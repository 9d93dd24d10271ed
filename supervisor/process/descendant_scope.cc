#include "supervisor/process/descendant_scope.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <unordered_map>

#include "supervisor/kernel/uapi.h"
#include "supervisor/process/proc_file.h"
#include "supervisor/process/process_stat.h"

namespace shmvisor {
namespace {

UniqueFd open_process(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

DescendantScope::DescendantScope(KernelFeatures& features, pid_t root)
    : features_(features), root_(root), pidfd_(open_process(root)) {}

bool DescendantScope::root_lives() const {
  if (root_ == 0) return true;
  pollfd ended{pidfd_.get(), POLLIN, 0};
  return pidfd_.valid() && ::poll(&ended, 1, 0) == 0;
}

std::vector<pid_t> DescendantScope::processes() const {
  std::vector<pid_t> pids = numbered_entries("/proc");
  if (!root_lives()) return pids;
  std::unordered_map<pid_t, pid_t> parents;
  parents.reserve(pids.size());
  for (const pid_t pid : pids) {
    if (const auto parent = parent_of(pid)) parents.emplace(pid, *parent);
  }
  const pid_t root = root_ != 0 ? root_ : getpid();
  std::vector<pid_t> found;
  for (const pid_t pid : pids) {
    pid_t ancestor = pid;
    // Pids may be reused while we read: a chain longer than the list is a ring.
    for (std::size_t steps = 0; steps <= pids.size(); ++steps) {
      const auto parent = parents.find(ancestor);
      if (parent == parents.end()) break;
      ancestor = parent->second;
      if (ancestor == root) {
        found.push_back(pid);
        break;
      }
    }
  }
  return found;
}

std::optional<pid_t> DescendantScope::parent_of(pid_t pid) const {
  if (features_.usable(KernelFeature::kPidfdGetInfo)) {
    const UniqueFd pidfd = open_process(pid);
    pidfd_info info{};
    info.mask = PIDFD_INFO_PID;
    if (pidfd.valid() && ::ioctl(pidfd.get(), PIDFD_GET_INFO, &info) == 0) {
      return static_cast<pid_t>(info.ppid);
    }
    if (pidfd.valid() && (errno == ENOTTY || errno == EINVAL)) {
      features_.absent(KernelFeature::kPidfdGetInfo);
    }
  }
  const auto stat = ProcessStat::read(pid);
  return stat ? std::optional(stat->ppid) : std::nullopt;
}

}  // namespace shmvisor
