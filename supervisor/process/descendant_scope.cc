#include "supervisor/process/descendant_scope.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "supervisor/kernel/uapi.h"
#include "supervisor/process/proc_file.h"
#include "supervisor/process/process_stat.h"

namespace shmvisor {
namespace {

UniqueFd open_process(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

DescendantScope::DescendantScope(KernelFeatures& features) : DescendantScope(features, true) {}

std::shared_ptr<DescendantScope> DescendantScope::of_others(KernelFeatures& features) {
  return std::shared_ptr<DescendantScope>(new DescendantScope(features, false));
}

DescendantScope::RootId DescendantScope::add_root(pid_t pid) {
  Root root{pid, open_process(pid)};
  const std::lock_guard lock(mutex_);
  roots_.emplace(++last_root_, std::move(root));
  return last_root_;
}

void DescendantScope::remove_root(RootId root) {
  const std::lock_guard lock(mutex_);
  roots_.erase(root);
}

std::optional<std::unordered_set<pid_t>> DescendantScope::living_roots() const {
  std::unordered_set<pid_t> pids;
  if (of_this_process_) pids.insert(getpid());
  std::vector<pollfd> ends;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, root] : roots_) {
    if (!root.pidfd.valid()) return std::nullopt;
    pids.insert(root.pid);
    ends.push_back({root.pidfd.get(), POLLIN, 0});
  }
  if (!ends.empty() && ::poll(ends.data(), ends.size(), 0) != 0) return std::nullopt;
  return pids;
}

std::vector<pid_t> DescendantScope::processes() const {
  const auto roots = living_roots();
  if (roots && roots->empty()) return {};
  std::vector<pid_t> pids = numbered_entries("/proc");
  if (!roots) return pids;
  std::unordered_map<pid_t, pid_t> parents;
  parents.reserve(pids.size());
  // Who is below us is in our session, or in one that began below us; these have numbers here.
  const bool none_without_session = of_this_process_ && roots->size() == 1 && ::getsid(0) > 0;
  for (const pid_t pid : pids) {
    if (none_without_session && ::getsid(pid) == 0) continue;
    if (const auto parent = parent_of(pid)) parents.emplace(pid, *parent);
  }
  std::vector<pid_t> found;
  for (const pid_t pid : pids) {
    pid_t ancestor = pid;
    // Pids may be reused while we read: a chain longer than the list is a ring.
    for (std::size_t steps = 0; steps <= pids.size(); ++steps) {
      const auto parent = parents.find(ancestor);
      if (parent == parents.end()) break;
      ancestor = parent->second;
      if (roots->contains(ancestor)) {
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
