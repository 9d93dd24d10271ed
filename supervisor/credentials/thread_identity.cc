#include "supervisor/credentials/thread_identity.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <new>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/thread_pidfd.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

/// EINVAL where the kernel has no descriptors of threads.
Result<UniqueFd> open_thread(pid_t tid, KernelFeatures& features) {
  if (!features.usable(KernelFeature::kPidfdThread)) return Errno(EINVAL);
  auto pidfd = open_thread_pidfd(tid);
  if (!pidfd && pidfd.error() == Errno(EINVAL)) features.mark_absent(KernelFeature::kPidfdThread);
  return pidfd;
}

/// pidfs numbers threads once and for all since Linux 6.9, which also brought PIDFD_THREAD.
std::uint64_t unique_of(const UniqueFd& pidfd) { return inode_of(pidfd); }

/// A pidfd is readable once its thread has ended.
bool ended(const UniqueFd& pidfd) { return events_now(pidfd.get(), POLLIN).value_or(0) != 0; }

}  // namespace

NamespaceIds NamespaceIds::of_thread(pid_t tid) {
  return {namespace_inode(tid, Namespace::kIpc), namespace_inode(tid, Namespace::kUser),
          namespace_inode(tid, Namespace::kPid)};
}

const NamespaceIds& NamespaceIds::ours() {
  static const NamespaceIds ids = of_thread(gettid());
  return ids;
}

std::optional<TaskStatus> ThreadIdentity::read_ids(KernelFeatures& features) const {
  if (!pidfd_.valid() || !features.usable(KernelFeature::kPidfdGetInfo)) return std::nullopt;
  pidfd_info info{};
  info.mask = PIDFD_INFO_PID | PIDFD_INFO_CREDS;
  if (::ioctl(pidfd_.get(), PIDFD_GET_INFO, &info) != 0) {
    if (errno == ENOTTY || errno == EINVAL) features.mark_absent(KernelFeature::kPidfdGetInfo);
    return std::nullopt;
  }
  if ((info.mask & PIDFD_INFO_CREDS) == 0) return std::nullopt;
  TaskStatus status;
  status.tgid = static_cast<pid_t>(info.tgid);
  status.ppid = static_cast<pid_t>(info.ppid);
  status.uid = info.ruid;
  status.euid = info.euid;
  status.egid = info.egid;
  status.fsgid = info.fsgid;
  return status;
}

std::uint64_t ThreadIdentity::inode_of(NamespaceKind kind) {
  static constexpr std::array kWhich = {Namespace::kIpc, Namespace::kUser, Namespace::kPid};
  const auto place = static_cast<std::size_t>(kind);
  std::uint64_t forgotten = 0;
  {
    const MutexLock lock(mutex_);
    if (const auto known = namespaces_.at(place)) return *known;
    forgotten = forgotten_;
  }
  const std::uint64_t inode = namespace_inode(tid_, kWhich.at(place));
  const MutexLock lock(mutex_);
  // What was read before the thread's next call says nothing about that.
  if (forgotten == forgotten_) namespaces_.at(place) = inode;
  return inode;
}

void ThreadIdentity::forget_namespaces() {
  const MutexLock lock(mutex_);
  namespaces_.fill(std::nullopt);
  ++forgotten_;
}

void ThreadIdentity::keep_undo(std::function<void()> undo) {
  const MutexLock lock(mutex_);
  undo_ = std::move(undo);
}

std::function<void()> ThreadIdentity::take_undo() {
  const MutexLock lock(mutex_);
  return std::exchange(undo_, nullptr);
}

std::shared_ptr<ThreadIdentity> ThreadIdentities::make(pid_t tid) {
  auto opened = open_thread(tid, features_);
  UniqueFd pidfd = opened ? std::move(*opened) : UniqueFd();
  const std::uint64_t unique = unique_of(pidfd);
  return std::make_shared<ThreadIdentity>(tid, std::move(pidfd), unique);
}

KnownThread ThreadIdentities::of(pid_t tid) {
  {
    const MutexLock lock(mutex_);
    const auto found = by_tid_.find(tid);
    if (found != by_tid_.end()) {
      KnownThread known{*found->second, (*found->second)->read_ids(features_), true};
      if (known.ids && !never_remembered_.contains(known.ids->tgid)) {
        recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
        if (remembered_ != Remembered::kAll) known.identity->forget_namespaces();
        return known;
      }
      recent_first_.erase(found->second);  // its tid belongs to another thread now
      by_tid_.erase(found);
    }
  }
  KnownThread known{make(tid), std::nullopt};
  known.ids = known.identity->read_ids(features_);
  known.remembered =
      known.ids && remembered_ != Remembered::kNothing && remember(known.identity, known.ids->tgid);
  return known;
}

bool ThreadIdentities::remember(const std::shared_ptr<ThreadIdentity>& identity, pid_t tgid) {
  const MutexLock lock(mutex_);
  if (never_remembered_.contains(tgid)) return false;
  give_undo_to(*identity);
  recent_first_.push_front(identity);
  by_tid_.insert_or_assign(identity->tid(), recent_first_.begin());
  if (recent_first_.size() <= most_) return true;
  by_tid_.erase(recent_first_.back()->tid());
  save_undo(*recent_first_.back());
  recent_first_.pop_back();
  return true;
}

void ThreadIdentities::keep_undo(ThreadIdentity& thread, std::function<void()> undo) {
  const MutexLock lock(mutex_);
  thread.keep_undo(std::move(undo));
  const auto found = by_tid_.find(thread.tid());
  if (found == by_tid_.end() || found->second->get() != &thread) save_undo(thread);
}

void ThreadIdentities::save_undo(ThreadIdentity& forgotten) {
  auto undo = forgotten.take_undo();
  if (!undo) return;
  try {
    undos_.push_back({forgotten.unique(), std::move(undo)});
  } catch (const std::bad_alloc&) {
    return;  // should the call that it is of fail in its caller, the stamps stay
  }
  if (undos_.size() > kMostUndos) undos_.pop_front();
}

void ThreadIdentities::give_undo_to(ThreadIdentity& remembered) {
  const auto kept = std::ranges::find(undos_, remembered.unique(), &KeptUndo::unique);
  if (kept == undos_.end()) return;
  remembered.keep_undo(std::move(kept->undo));
  undos_.erase(kept);
}

void ThreadIdentities::namespaces_change(pid_t tid) {
  if (remembered_ != Remembered::kAll) return;
  const KnownThread known = of(tid);
  const MutexLock lock(mutex_);
  if (known.ids) never_remember(known.ids->tgid);
  const auto found = by_tid_.find(tid);
  if (found == by_tid_.end()) return;
  recent_first_.erase(found->second);
  by_tid_.erase(found);
}

void ThreadIdentities::never_remember(pid_t tgid) {
  if (!never_remembered_.insert(tgid).second) return;
  to_look_at_.push_back(tgid);
  // Two for each one that is added: so those that have ended are forgotten sooner than others come,
  // and no call looks at many.
  for (int looks = 0; looks < 2; ++looks) {
    const pid_t oldest = to_look_at_.front();
    to_look_at_.pop_front();
    if (::kill(oldest, 0) != 0 && errno == ESRCH) {
      never_remembered_.erase(oldest);
      if (to_look_at_.empty()) return;
    } else {
      to_look_at_.push_back(oldest);
    }
  }
}

bool thread_lives(pid_t tid, std::uint64_t unique, KernelFeatures& features) {
  if (unique != 0) {
    const auto pidfd = open_thread(tid, features);
    if (!pidfd && is_shortage(pidfd.error())) return true;
    if (!pidfd || unique_of(*pidfd) != unique || ended(*pidfd)) return false;
  }
  // A first thread that ended before the others is shown as a zombie, and its pidfd says nothing.
  const auto status = TaskStatus::read(tid);
  if (!status && is_shortage(status.error())) return true;
  return status && status->state != 'Z' && status->state != 'X';
}

}  // namespace shmvisor
