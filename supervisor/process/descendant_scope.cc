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
#include "supervisor/process/task_status.h"

namespace shmvisor {
namespace {

/// What readdir(3) shows where the kernel could not make one: proc_fill_cache().
constexpr std::uint64_t kNoInode = 1;

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
  verdicts_ = std::make_shared<const Verdicts>();
  return last_root_;
}

void DescendantScope::remove_root(RootId root) {
  const std::lock_guard lock(mutex_);
  roots_.erase(root);
  verdicts_ = std::make_shared<const Verdicts>();
}

std::optional<std::unordered_set<pid_t>> DescendantScope::living_roots() const {
  std::unordered_set<pid_t> pids;
  if (of_this_process_) pids.insert(getpid());
  std::vector<pollfd> ends;
  for (const auto& [id, root] : roots_) {
    if (!root.pidfd.valid()) return std::nullopt;
    pids.insert(root.pid);
    ends.push_back({root.pidfd.get(), POLLIN, 0});
  }
  if (!ends.empty() && ::poll(ends.data(), ends.size(), 0) != 0) return std::nullopt;
  return pids;
}

std::vector<pid_t> DescendantScope::processes() const {
  std::optional<std::unordered_set<pid_t>> roots;
  std::shared_ptr<const Verdicts> known;
  {
    const std::lock_guard lock(mutex_);
    roots = living_roots();
    known = verdicts_;
  }
  if (roots && roots->empty()) return {};
  if (!roots) return numbered_entries("/proc");
  const std::vector<NumberedInode> listed = numbered_inodes("/proc");
  // Who is below us is in our session, or in one that began below us; these have numbers here.
  const bool none_without_session = of_this_process_ && roots->size() == 1 && ::getsid(0) > 0;
  auto verdicts = std::make_shared<Verdicts>();
  verdicts->reserve(listed.size());
  std::unordered_map<pid_t, pid_t> parents;  // of those whose verdict is still to come
  for (const auto& [pid, inode] : listed) {
    if (const auto before = known->find(pid);
        before != known->end() && before->second.inode == inode) {
      verdicts->insert(*before);
    } else if (none_without_session && ::getsid(pid) == 0) {
      parents.emplace(pid, 0);
    } else if (const auto parent = parent_of(pid)) {
      parents.emplace(pid, *parent);
    }
  }
  const bool all_known = verdicts->size() == listed.size() && known->size() == listed.size();
  std::vector<pid_t> found;
  for (const auto& [pid, inode] : listed) {
    const std::optional<bool> below = is_below(pid, *roots, parents, *verdicts);
    if (below.value_or(false)) found.push_back(pid);
    if (below && inode > kNoInode) verdicts->insert({pid, {inode, *below}});
  }
  if (all_known) return found;
  const std::lock_guard lock(mutex_);
  if (verdicts_ == known) verdicts_ = std::move(verdicts);
  return found;
}

std::optional<bool> DescendantScope::is_below(pid_t pid, const std::unordered_set<pid_t>& roots,
                                              const std::unordered_map<pid_t, pid_t>& parents,
                                              const Verdicts& verdicts) {
  // Pids may be reused while we read: a chain longer than the list is a ring.
  for (std::size_t steps = 0; steps <= parents.size(); ++steps) {
    if (const auto known = verdicts.find(pid); known != verdicts.end()) return known->second.below;
    const auto parent = parents.find(pid);
    if (parent == parents.end()) return std::nullopt;
    pid = parent->second;
    if (roots.contains(pid)) return true;
    if (pid == 0) return false;
  }
  return std::nullopt;
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
  // Not of /proc/PID/stat, which keeps its reader while the process is in the middle of an exec.
  const auto status = TaskStatus::read(pid);
  return status ? std::optional(status->ppid) : std::nullopt;
}

}  // namespace shmvisor
