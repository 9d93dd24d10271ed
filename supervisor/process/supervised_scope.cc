#include "supervisor/process/supervised_scope.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "supervisor/process/proc_file.h"
#include "supervisor/process/task_status.h"

namespace shmvisor {
namespace {

/// What readdir(3) shows where the kernel could not make one: proc_fill_cache().
constexpr std::uint64_t kNoInode = 1;

}  // namespace

SupervisedScope::RootId SupervisedScope::add_root(pid_t pid) {
  Root root;
  if (const auto status = TaskStatus::read(pid)) root.filters = status->seccomp_filters + 1;
  root.in_session = ::getsid(pid) > 0;
  const std::lock_guard lock(mutex_);
  roots_.emplace(++last_root_, root);
  verdicts_ = std::make_shared<const Verdicts>();
  return last_root_;
}

void SupervisedScope::remove_root(RootId root) {
  const std::lock_guard lock(mutex_);
  roots_.erase(root);
  verdicts_ = std::make_shared<const Verdicts>();
}

std::vector<pid_t> SupervisedScope::processes() const {
  Roots roots;
  std::shared_ptr<const Verdicts> known;
  {
    const std::lock_guard lock(mutex_);
    roots = roots_;
    known = verdicts_;
  }
  if (roots.empty()) return {};
  const bool none_without_session = std::all_of(
      roots.begin(), roots.end(), [](const auto& entry) { return entry.second.in_session; });
  const std::vector<NumberedInode> listed = numbered_inodes("/proc");
  auto verdicts = std::make_shared<Verdicts>();
  verdicts->reserve(listed.size());
  bool all_known = known->size() == listed.size();
  std::vector<pid_t> found;
  for (const auto& [pid, inode] : listed) {
    std::optional<bool> belongs;
    if (const auto before = known->find(pid);
        before != known->end() && before->second.inode == inode) {
      belongs = before->second.belongs;
    } else {
      all_known = false;
      belongs = none_without_session && ::getsid(pid) == 0 ? false : judge(pid, roots, *verdicts);
    }
    if (belongs.value_or(false)) found.push_back(pid);
    if (belongs && inode > kNoInode) verdicts->insert({pid, {inode, *belongs}});
  }
  if (all_known) return found;
  const std::lock_guard lock(mutex_);
  if (verdicts_ == known) verdicts_ = std::move(verdicts);
  return found;
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
