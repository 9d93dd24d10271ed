#include "supervisor/scope/supervised_scope.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "supervisor/procfs/process_parent.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// What readdir(3) shows where the kernel could not make one: proc_fill_cache().
constexpr std::uint64_t kNoInode = 1;

}  // namespace

SupervisedScope::Root SupervisedScope::look_at(pid_t pid) {
  Root root;
  if (const auto status = TaskStatus::read(pid)) root.filters = status->seccomp_filters + 1;
  root.in_session = ::getsid(pid) > 0;
  if (const auto stat = ProcessStat::read(pid)) {
    root.pid = pid;
    root.started_ticks = stat->started_ticks;
  }
  return root;
}

SupervisedScope::RootId SupervisedScope::add_root(const Root& root) {
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

std::vector<pid_t> SupervisedScope::ancestors() const {
  Roots roots;
  {
    const MutexLock lock(mutex_);
    roots = roots_;
  }
  std::vector<pid_t> pids;
  for (const auto& [id, root] : roots) {
    if (root.pid == 0) continue;
    const auto stat = ProcessStat::read(root.pid);
    if (stat && stat->started_ticks == root.started_ticks) pids.push_back(root.pid);
  }
  return pids;
}

void SupervisedScope::roots_change() {
  pass_ = none_;
  ++changes_;
}

void SupervisedScope::note_served(pid_t pid) const {
  const MutexLock lock(mutex_);
  const auto known = pass_->verdicts.find(pid);
  if (known != pass_->verdicts.end() && known->second.belongs) return;
  if (served_.size() <= kMostServed && std::ranges::find(served_, pid) == served_.end()) {
    served_.push_back(pid);
  }
}

SupervisedScope::Start SupervisedScope::start() const {
  const MutexLock lock(mutex_);
  Start start{.roots = roots_, .known = pass_, .changes = changes_};
  if (roots_.empty()) return start;
  // Read before the listing: a process that is born later has a higher number.
  recent_pids_.note(start.when, last_pid_.read());
  // A pid that is nobody's costs half as much as a process in the listing.
  if (pass_ != none_) {
    start.recent = recent_pids_.since(pass_->listed, 2 * pass_->verdicts.size());
  }
  start.served = std::exchange(served_, {});
  if (start.served.size() > kMostServed) start.recent.reset();
  return start;
}

std::vector<NumberedInode> SupervisedScope::new_ones(const Start& start) {
  auto processes = living(*start.recent, start.known->verdicts);
  // A chosen pid may be that of an earlier process, on which there is a verdict.
  for (const NumberedInode& served : living(start.served, {})) {
    if (std::ranges::find(processes, served.number, &NumberedInode::number) == processes.end()) {
      processes.push_back(served);
    }
  }
  return processes;
}

std::vector<NumberedInode> SupervisedScope::living(const std::vector<pid_t>& pids,
                                                   const Verdicts& verdicts) {
  std::vector<NumberedInode> processes;
  for (const pid_t pid : pids) {
    if (verdicts.contains(pid)) continue;
    // Cheaper than the question for the inode; EPERM is an answer too.
    if (::kill(pid, 0) != 0 && errno == ESRCH) continue;
    struct stat folder {};
    if (::stat(("/proc/" + std::to_string(pid)).c_str(), &folder) != 0) continue;
    processes.push_back({pid, folder.st_ino});
  }
  return processes;
}

Result<std::vector<pid_t>> SupervisedScope::processes() const {
  const Start start = this->start();
  if (start.roots.empty()) return std::vector<pid_t>();
  const Pass& known = *start.known;
  const auto listed = start.recent ? Result(new_ones(start)) : numbered_inodes("/proc");
  if (!listed) return listed.error();
  std::vector<NumberedInode> unknown;
  for (const auto& [pid, inode] : *listed) {
    const auto before = known.verdicts.find(pid);
    if (before == known.verdicts.end() || before->second.inode != inode) {
      unknown.push_back({pid, inode});
    }
  }
  if (unknown.empty() && start.recent) return known.found;
  auto pass = std::make_shared<Pass>();
  if (start.recent) {
    // Processes that have ended since the listing may be among them, as in any list.
    *pass = known;
  } else {
    pass->listed = start.when;
    pass->verdicts.reserve(listed->size());
    for (const auto& [pid, inode] : *listed) {
      const auto before = known.verdicts.find(pid);
      if (before == known.verdicts.end() || before->second.inode != inode) continue;
      pass->verdicts.insert(*before);
      if (before->second.belongs) pass->found.push_back(pid);
    }
  }
  judge_new(start.roots, unknown, *pass);
  const MutexLock lock(mutex_);
  if (changes_ == start.changes && pass_ == start.known) {
    pass_ = pass;
  } else {
    // What is kept instead may be older than these.
    served_.insert(served_.end(), start.served.begin(), start.served.end());
  }
  return pass->found;
}

void SupervisedScope::judge_new(const Roots& roots, const std::vector<NumberedInode>& unknown,
                                Pass& pass) const {
  const bool none_without_session = std::all_of(
      roots.begin(), roots.end(), [](const auto& entry) { return entry.second.in_session; });
  // Parents have mostly lower numbers than their children, and are judged before them.
  for (const auto& [pid, inode] : unknown) {
    std::optional<bool> belongs;
    if (none_without_session && ::getsid(pid) == 0) {
      belongs = false;
    } else if (is_child_of_one(pid, pass.verdicts)) {
      belongs = true;
    } else {
      belongs = judge(pid, roots, pass.verdicts);
    }
    if (belongs.value_or(false)) pass.found.push_back(pid);
    if (belongs && inode > kNoInode) pass.verdicts.insert_or_assign(pid, Known{inode, *belongs});
  }
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
  if (status->tgid != pid) return false;  // a thread, whose number is among the recent ones
  if (const auto parent = verdicts.find(status->ppid);
      parent != verdicts.end() && parent->second.belongs) {
    return true;
  }
  return std::any_of(roots.begin(), roots.end(), [&status](const auto& entry) {
    return status->seccomp_filters >= entry.second.filters;
  });
}

}  // namespace shmvisor
