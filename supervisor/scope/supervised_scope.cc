#include "supervisor/scope/supervised_scope.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/process_parent.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// What readdir(3) shows where the kernel could not make one: proc_fill_cache().
constexpr std::uint64_t kNoInode = 1;

}  // namespace

SupervisedScope::RootId SupervisedScope::add_root(pid_t pid) {
  Root root;
  if (const auto status = TaskStatus::read(pid)) root.filters = status->seccomp_filters + 1;
  root.in_session = ::getsid(pid) > 0;
  const MutexLock lock(mutex_);
  roots_.emplace(++last_root_, root);
  roots_change();
  return last_root_;
}

void SupervisedScope::remove_root(RootId root) noexcept {
  const MutexLock lock(mutex_);
  roots_.erase(root);
  roots_change();
}

void SupervisedScope::roots_change() {
  verdicts_ = none_;
  ++changes_;
}

Result<std::vector<pid_t>> SupervisedScope::processes() const {
  Roots roots;
  std::shared_ptr<const Verdicts> known;
  std::uint64_t changes = 0;
  {
    const MutexLock lock(mutex_);
    roots = roots_;
    known = verdicts_;
    changes = changes_;
  }
  if (roots.empty()) return std::vector<pid_t>();
  const bool none_without_session = std::all_of(
      roots.begin(), roots.end(), [](const auto& entry) { return entry.second.in_session; });
  const Result<std::vector<NumberedInode>> listed = numbered_inodes("/proc");
  if (!listed) return listed.error();
  auto verdicts = std::make_shared<Verdicts>();
  verdicts->reserve(listed->size());
  std::vector<pid_t> found;
  std::vector<NumberedInode> unknown;
  for (const auto& [pid, inode] : *listed) {
    const auto before = known->find(pid);
    if (before == known->end() || before->second.inode != inode) {
      unknown.push_back({pid, inode});
      continue;
    }
    if (before->second.belongs) found.push_back(pid);
    verdicts->insert(*before);
  }
  if (unknown.empty() && known->size() == listed->size()) return found;
  // Parents have mostly lower numbers than their children, and are judged before them.
  for (const auto& [pid, inode] : unknown) {
    std::optional<bool> belongs;
    if (none_without_session && ::getsid(pid) == 0) {
      belongs = false;
    } else if (is_child_of_one(pid, *verdicts)) {
      belongs = true;
    } else {
      belongs = judge(pid, roots, *verdicts);
    }
    if (belongs.value_or(false)) found.push_back(pid);
    if (belongs && inode > kNoInode) verdicts->insert({pid, {inode, *belongs}});
  }
  const MutexLock lock(mutex_);
  if (changes_ == changes && verdicts_ == known) verdicts_ = std::move(verdicts);
  return found;
}

bool SupervisedScope::is_child_of_one(pid_t pid, const Verdicts& verdicts) const {
  const auto parent = parent_by_pidfd(pid, features_);
  if (!parent) return false;
  const auto verdict = verdicts.find(*parent);
  return verdict != verdicts.end() && verdict->second.belongs;
}

std::optional<bool> SupervisedScope::judge(pid_t pid, const Roots& roots,
                                           const Verdicts& verdicts) {
  const auto status = TaskStatus::read(pid);
  if (!status) return std::nullopt;
  if (const auto parent = verdicts.find(status->ppid);
      parent != verdicts.end() && parent->second.belongs) {
    return true;
  }
  return std::any_of(roots.begin(), roots.end(), [&status](const auto& entry) {
    return status->seccomp_filters >= entry.second.filters;
  });
}

}  // namespace shmvisor
