#include "supervisor/scope/container_scope.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Tells whether processes live in one of some pid namespaces or in one below them.
class PidNamespaceTest {
 public:
  explicit PidNamespaceTest(const std::vector<std::uint64_t>& wanted) : wanted_(wanted) {}

  /// Errors: those of is_shortage(); a process that cannot be asked is in none.
  Result<bool> holds(pid_t pid) {
    const std::uint64_t its_own = namespace_inode(pid, Namespace::kPid);
    const auto known = known_.find(its_own);
    if (known != known_.end()) return known->second;
    auto opened = open_namespace(pid, Namespace::kPid);
    if (!opened) return is_shortage(opened.error()) ? Result<bool>(opened.error()) : false;
    UniqueFd at(std::move(*opened));
    bool found = false;
    while (at.valid() && !found) {
      const std::uint64_t inode = inode_of(at);
      if (inode == NamespaceIds::ours().pid) break;
      found = std::find(wanted_.begin(), wanted_.end(), inode) != wanted_.end();
      if (!found) at.reset(::ioctl(at.get(), NS_GET_PARENT));
    }
    if (its_own != 0) known_.emplace(its_own, found);
    return found;
  }

 private:
  const std::vector<std::uint64_t>& wanted_;
  std::unordered_map<std::uint64_t, bool> known_;
};

}  // namespace

std::optional<ContainerScope::Part> ContainerScope::add_container_of(pid_t pid) {
  Part part;
  if (const auto group = ControlGroup::of(pid)) {
    part.control_group = group->path();
  } else {
    part.pid_namespace = NamespaceIds::of_thread(pid).pid;
    part.everybody = part.pid_namespace == 0 || part.pid_namespace == NamespaceIds::ours().pid;
  }
  if (!add(part)) return std::nullopt;
  return part;
}

bool ContainerScope::add(const Part& part) {
  const MutexLock lock(mutex_);
  if (part.everybody) return !std::exchange(everybody_, true);
  if (!part.control_group.empty()) {
    const ControlGroup group = ControlGroup::at(part.control_group);
    const bool known = std::any_of(control_groups_.begin(), control_groups_.end(),
                                   [&](const ControlGroup& one) { return one.contains(group); });
    if (!known) control_groups_.push_back(group);
    return !known;
  }
  const bool known = std::find(pid_namespaces_.begin(), pid_namespaces_.end(),
                               part.pid_namespace) != pid_namespaces_.end();
  if (!known) pid_namespaces_.push_back(part.pid_namespace);
  return !known;
}

bool ContainerScope::is_exact() const {
  const MutexLock lock(mutex_);
  return !everybody_;
}

Result<std::vector<pid_t>> ContainerScope::processes() const {
  std::vector<ControlGroup> control_groups;
  std::vector<std::uint64_t> pid_namespaces;
  bool everybody = false;
  {
    const MutexLock lock(mutex_);
    control_groups = control_groups_;
    pid_namespaces = pid_namespaces_;
    everybody = everybody_;
  }
  if (everybody) return numbered_entries("/proc");
  std::vector<pid_t> pids;
  for (const ControlGroup& group : control_groups) {
    if (const auto appended = group.append_processes(pids); !appended) return appended.error();
  }
  if (!pid_namespaces.empty()) {
    PidNamespaceTest in_container(pid_namespaces);
    const Result<std::vector<int>> all = numbered_entries("/proc");
    if (!all) return all.error();
    for (const pid_t pid : *all) {
      const auto held = in_container.holds(pid);
      if (!held) return held.error();
      if (*held) pids.push_back(pid);
    }
  }
  sort_once(pids);
  return pids;
}

}  // namespace shmvisor
