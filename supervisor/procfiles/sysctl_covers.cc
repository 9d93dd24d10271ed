#include "supervisor/procfiles/sysctl_covers.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/procfiles/mount_identity.h"
#include "supervisor/procfiles/proc_file_list.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Of a millisecond's work, on a busy machine; and for a child to end where there are
/// kMostChildren.
constexpr std::chrono::milliseconds kPatience{2000};

/// Descriptors that the child keeps. It has no others.
struct Places {
  int user = -1;
  int mounts = -1;
  int ipc = -1;
  int own_proc = -1;  ///< /proc as we know it
};

/// All but the table, which is one file for all namespaces.
constexpr std::size_t kMountsOfACover = kProcFiles.size() - 1;
constexpr const char* kType = "fuse";
constexpr const char* kSource = "shmvisor";

/// What the child tells.
struct Report {
  bool refused = false;     ///< the user, or the mount namespace, has its share
  std::size_t covered = 0;  ///< files, by it or before
  std::array<bool, 2 * CoverShares::kMostOfUser> found{};  ///< of the user's covers
  std::array<long, kMountsOfACover> made{};                ///< ids of new mounts
  std::size_t made_count = 0;
};

/// A Report in memory that the child shares.
class SharedReport {
 public:
  SharedReport() {
    void* const shared =
        ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared != MAP_FAILED) report_ = new (shared) Report;
  }
  SharedReport(const SharedReport&) = delete;
  SharedReport& operator=(const SharedReport&) = delete;
  ~SharedReport() {
    if (report_ != nullptr) ::munmap(report_, sizeof(Report));
  }
  /// Null where there is no memory.
  [[nodiscard]] Report* get() const { return report_; }

 private:
  Report* report_ = nullptr;
};

/// Who pays.
struct Payer {
  const CoverShares& shares;
  CoverShares::Account account;
  std::span<const long> covers;  ///< known, no more than Report::found has room for
};

bool enter(int name_space, int kind) { return ::setns(name_space, kind) == 0; }

/// A walk in the cache ends with EAGAIN where anybody mounts, unmounts or renames anything at that
/// moment, as strangers do in a loop. So it is repeated, at last with pauses: 40 ms in all.
constexpr int kMostWalks = 200;
constexpr int kWalksWithoutPause = 160;

int open_resolved(int folder, const char* path, std::uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW;
  how.resolve = resolve | RESOLVE_NO_SYMLINKS;
  for (int walk = 1;; ++walk) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof(how)));
    if (fd >= 0 || errno != EAGAIN || walk == kMostWalks) return fd;
    if (walk > kWalksWithoutPause) ::usleep(1000);
  }
}

/// Closes all but these and standard error's number. The places get the lowest numbers.
void keep_only(Places& places) {
  // Out of the way of the numbers that they will have.
  std::array<int*, 4> kept{&places.user, &places.mounts, &places.ipc, &places.own_proc};
  for (int* fd : kept) {
    if (*fd >= 0) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, 16);
  }
  int number = 0;
  for (int* fd : kept) {
    if (*fd >= 0) *fd = ::dup3(*fd, number, O_CLOEXEC);
    ++number;
  }
  ::syscall(SYS_close_range, static_cast<unsigned>(number), ~0U, 0U);
}

/// Whether the payer may have one more cover. Tells which of its covers are there.
bool may_add(const MountIdentity& identity, const Payer& payer, Report& report) {
  const std::span<bool> found(report.found.data(), payer.covers.size());
  const auto mounts = identity.count(kType, kSource, payer.covers, found);
  if (!mounts) {
    std::fill(found.begin(), found.end(), true);
    return false;
  }
  const auto alive = static_cast<std::size_t>(std::count(found.begin(), found.end(), true));
  return payer.shares.may_add(payer.account, alive, *mounts / kMountsOfACover);
}

/// In the forked child of a program with threads: hardly more than system calls. An errno, or 0.
int cover_in(Places places, const Payer& payer, Report& report) {
  keep_only(places);
  if (places.user >= 0 && !enter(places.user, CLONE_NEWUSER)) return errno;
  if (!enter(places.mounts, CLONE_NEWNS)) return errno;
  const UniqueFd proc(open_resolved(AT_FDCWD, "/proc", RESOLVE_CACHED));
  if (!proc.valid()) return errno;
  const MountIdentity identity(places.own_proc);
  if (!identity.is_of(proc.get(), "proc", nullptr)) return ENOENT;  // another file system's
  const UniqueFd folder(open_resolved(proc.get(), "sys/kernel", RESOLVE_NO_XDEV | RESOLVE_BENEATH));
  if (!folder.valid()) return errno;
  // Found by what this process sees, mounted by what the thread sees.
  std::array<UniqueFd, kProcFiles.size()> shown;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (kProcFiles[i].file == ProcFile::kTable) continue;
    shown[i].reset(::openat(folder.get(), kProcFiles[i].name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
    // Another /proc may be mounted there.
    if (shown[i].valid() && !identity.is_of(shown[i].get(), kType, kSource)) shown[i].reset();
  }
  if (!enter(places.ipc, CLONE_NEWIPC)) return errno;
  int error = 0;
  bool asked = false;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (!shown[i].valid()) continue;
    const UniqueFd there(
        ::openat(folder.get(), kProcFiles[i].name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
    if (!there.valid()) continue;
    if (!identity.is_same(there.get(), folder.get())) {
      // Of a namespace that is covered already, or another's.
      if (identity.is_of(there.get(), kType, kSource)) ++report.covered;
      continue;
    }
    if (!std::exchange(asked, true) && !may_add(identity, payer, report)) {
      report.refused = true;
      return ENOSPC;
    }
    // Whoever closes a copy that is mounted nowhere waits for all CPUs
    // (synchronize_rcu_expedited()).
    const UniqueFd file(::open_tree(shown[i].get(), "",
                                    OPEN_TREE_CLONE | AT_EMPTY_PATH | unsigned{OPEN_TREE_CLOEXEC}));
    if (!file.valid() || ::move_mount(file.get(), "", there.get(), "",
                                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      error = errno;
    } else {
      ++report.covered;
      report.made[report.made_count++] = identity.mount_of(file.get());
    }
  }
  return error;
}

/// Notes what the child told.
void settle(CoverShares& shares, const Payer& payer, const Report& report) {
  // It has looked for the user's covers, if anything was to be mounted.
  const bool looked = report.refused || report.made_count != 0;
  for (std::size_t i = 0; looked && i < payer.covers.size(); ++i) {
    if (!report.found[i]) shares.gone(payer.account, payer.covers[i]);
  }
  shares.added(payer.account, {report.made.data(), report.made_count});
}

/// Invalid where it cannot be opened.
UniqueFd namespace_of(pid_t tid, Namespace kind) {
  auto opened = open_namespace(tid, kind);
  return opened ? std::move(*opened) : UniqueFd();
}

}  // namespace

SysctlCovers::SysctlCovers(pid_t command) {
  const NamespaceIds its = NamespaceIds::of_thread(command);
  if (its.ipc != 0) covered_ipc_ = its.ipc;
  if (its.user != NamespaceIds::ours().user) {
    user_namespace_ = namespace_of(command, Namespace::kUser);
  }
}

bool SysctlCovers::may_fork() const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const MutexLock lock(mutex_);
  for (;;) {
    children_ -= std::erase_if(
        killed_, [](pid_t child) { return ::waitpid(child, nullptr, WNOHANG | __WALL) != 0; });
    if (children_ < kMostChildren) break;
    if (!child_ended_.wait_until(mutex_, deadline)) return false;
  }
  ++children_;
  return true;
}

int SysctlCovers::wait_for(pid_t child) const {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  const bool in_time = pidfd.valid() && poll_files({&ended, 1}, kPatience) > 0;
  const MutexLock lock(mutex_);
  int status = 0;
  if (!in_time) ::kill(child, SIGKILL);
  if (in_time && ::waitpid(child, &status, WNOHANG | __WALL) == child) {
    --children_;
    child_ended_.notify_one();
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  }
  killed_.push_back(child);
  return ETIMEDOUT;
}

int SysctlCovers::in_child(const std::function<int()>& cover) const {
  if (!may_fork()) return EAGAIN;
  // The child of this thread: the main thread, which reaps, does not see it.
  const pid_t child = ::fork();
  if (child == 0) ::_exit(cover());
  if (child > 0) return wait_for(child);
  const int error = errno;
  const MutexLock lock(mutex_);
  --children_;
  child_ended_.notify_one();
  return error;
}

void SysctlCovers::cover(pid_t tid, uid_t user) const {
  const std::uint64_t ipc = namespace_inode(tid, Namespace::kIpc);
  if (ipc == 0 || ipc == covered_ipc_) return;
  const UniqueFd mounts = namespace_of(tid, Namespace::kMount);
  const UniqueFd ipc_namespace = namespace_of(tid, Namespace::kIpc);
  const UniqueFd own_proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!mounts.valid() || !ipc_namespace.valid() || !own_proc.valid()) return;
  const auto place = KnownCovers::place_of(mounts, ipc_namespace);
  if (place && known_.has(*place)) return;
  const CoverShares::Account account{inode_of(mounts), user};
  const auto known = shares_.ask(account);
  if (!known) return;
  const SharedReport shared;
  Report* const report = shared.get();
  if (report == nullptr) return;
  const std::span<const long> covers(known->data(), std::min(known->size(), report->found.size()));
  const Payer payer{shares_, account, covers};
  const int error = in_child([&] {
    return cover_in({user_namespace_.get(), mounts.get(), ipc_namespace.get(), own_proc.get()},
                    payer, *report);
  });
  if (error != ETIMEDOUT) settle(shares_, payer, *report);  // of that child it may change still
  if (error == 0 && place && report->covered == kMountsOfACover) known_.add(*place);
  if (error == ENOSPC && report->refused) {
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
