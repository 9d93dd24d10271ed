#include "supervisor/procfiles/sysctl_covers.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

/// Of a millisecond's work, on a busy machine; and for a child to end where there are
/// kMostChildren.
constexpr std::chrono::milliseconds kPatience{2000};

/// Invalid where it cannot be opened.
UniqueFd namespace_of(pid_t tid, Namespace kind) {
  auto opened = open_namespace(tid, kind);
  return opened ? std::move(*opened) : UniqueFd();
}

/// Notes what the child told.
void settle(CoverShares& shares, const CoverShares::Account& account, std::span<const long> covers,
            const CoveringProcess::Report& report) {
  // It has looked for the user's covers, if anything was to be mounted.
  const bool looked = report.refused || report.made_count != 0;
  for (std::size_t i = 0; looked && i < covers.size(); ++i) {
    if (!report.found[i]) shares.gone(account, covers[i]);
  }
  shares.added(account, {report.made.data(), report.made_count});
}

}  // namespace

SysctlCovers::SysctlCovers(pid_t command) {
  const NamespaceIds its = NamespaceIds::of_thread(command);
  if (its.ipc != 0) covered_ipc_ = its.ipc;
  if (its.user != NamespaceIds::ours().user) {
    user_namespace_ = namespace_of(command, Namespace::kUser);
  }
}

bool SysctlCovers::begin_child() const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const MutexLock lock(mutex_);
  for (;;) {
    children_ -= std::erase_if(given_up_, [](const Child& child) { return child->has_ended(); });
    if (children_ < kMostChildren) break;
    if (!child_ended_.wait_until(mutex_, deadline)) return false;
  }
  given_up_.reserve(kMostChildren);
  ++children_;
  return true;
}

SysctlCovers::ChildPlace::~ChildPlace() {
  if (covers_ == nullptr) return;
  const MutexLock lock(covers_->mutex_);
  --covers_->children_;
  covers_->child_ended_.notify_one();
}

void SysctlCovers::ChildPlace::give_up(const Child& child) {
  const SysctlCovers* const covers = std::exchange(covers_, nullptr);
  const MutexLock lock(covers->mutex_);
  covers->given_up_.push_back(child);  // there is room: begin_child()
}

int SysctlCovers::run(const Child& child) const {
  auto& threads = LosableThreads::all();
  if (!threads.may_lose(child->payer()) || !begin_child()) return EAGAIN;
  ChildPlace place(*this);
  // Counts come first.
  const auto begun =
      threads.run([child] { child->run(); }, kPatience, LosableThreads::Reserve::kIsForOthers);
  const auto status = begun ? child->wait(kPatience) : std::optional<int>(begun.error().value());
  if (status) return *status;
  place.give_up(child);
  return ETIMEDOUT;
}

void SysctlCovers::cover(pid_t tid, uid_t user) const {
  const std::uint64_t ipc = namespace_inode(tid, Namespace::kIpc);
  if (ipc == 0 || ipc == covered_ipc_) return;
  CoveringProcess::Places places{
      UniqueFd(user_namespace_.valid() ? ::fcntl(user_namespace_.get(), F_DUPFD_CLOEXEC, 0) : -1),
      namespace_of(tid, Namespace::kMount), namespace_of(tid, Namespace::kIpc),
      UniqueFd(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC))};
  if (!places.mounts.valid() || !places.ipc.valid() || !places.own_proc.valid() ||
      places.user.valid() != user_namespace_.valid()) {
    return;
  }
  const auto place = KnownCovers::place_of(places.mounts, places.ipc);
  if (place && known_.has(*place)) return;
  const CoverShares::Account account{inode_of(places.mounts), user};
  auto covers = shares_.ask(account);
  if (!covers) return;
  const Child child =
      CoveringProcess::make(std::move(places), shares_.bounds_of(account), std::move(*covers),
                            {reinterpret_cast<std::uintptr_t>(this), user});
  if (child == nullptr) return;
  const int error = run(child);
  // Of one that was given up it may change still.
  const CoveringProcess::Report report =
      error == ETIMEDOUT ? CoveringProcess::Report() : child->report();
  settle(shares_, account, child->covers(), report);
  if (error == 0 && place && report.covered == CoveringProcess::kMostMounts) known_.add(*place);
  if (error == ENOSPC && report.refused) {
    shares_.refused(account);
    log_limited(spdlog::level::warn, LogTopic::kNamespaces, user,
                "user {} sees the kernel's limits (kernel.shm* in /proc/sys) of IPC namespace {}: "
                "{} other such namespaces of one user, or {} in all, have shmvisor's in its mount "
                "namespace",
                user, ipc, CoverShares::kMostOfUser, CoverShares::kMostForOthers);
  } else if (error != 0) {
    log_limited(spdlog::level::info, LogTopic::kNamespaces, user,
                "thread {} sees the kernel's limits of IPC namespace {}: {}", tid, ipc,
                std::strerror(error));
  }
}

}  // namespace shmvisor
