#include "supervisor/procfiles/sysctl_covers.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <spdlog/spdlog.h>
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

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/poll_files.h"
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

/// In the forked child of a program with threads: hardly more than system calls. An errno, or 0.
int cover_in(Places places) {
  keep_only(places);
  if (places.user >= 0 && !enter(places.user, CLONE_NEWUSER)) return errno;
  if (!enter(places.mounts, CLONE_NEWNS)) return errno;
  const UniqueFd proc(open_resolved(AT_FDCWD, "/proc", RESOLVE_CACHED));
  if (!proc.valid()) return errno;
  const MountIdentity identity(places.own_proc);
  if (!identity.is_of(proc.get(), "proc", nullptr)) return ENOENT;  // another file system's
  const UniqueFd folder(open_resolved(proc.get(), "sys/kernel", RESOLVE_NO_XDEV | RESOLVE_BENEATH));
  if (!folder.valid()) return errno;
  std::array<UniqueFd, kProcFiles.size()> files;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (kProcFiles[i].file == ProcFile::kTable) continue;
    const UniqueFd shown(
        ::openat(folder.get(), kProcFiles[i].name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
    // Another /proc may be mounted there.
    if (!shown.valid() || !identity.is_of(shown.get(), "fuse", "shmvisor")) continue;
    files[i].reset(::open_tree(shown.get(), "",
                               OPEN_TREE_CLONE | AT_EMPTY_PATH | unsigned{OPEN_TREE_CLOEXEC}));
  }
  if (!enter(places.ipc, CLONE_NEWIPC)) return errno;
  int error = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!files[i].valid()) continue;
    const UniqueFd there(
        ::openat(folder.get(), kProcFiles[i].name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
    if (!there.valid() || !identity.is_same(there.get(), folder.get())) continue;
    if (::move_mount(files[i].get(), "", there.get(), "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      error = errno;
    }
  }
  return error;
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

void SysctlCovers::cover(pid_t tid) const {
  const std::uint64_t ipc = namespace_inode(tid, Namespace::kIpc);
  if (ipc == 0 || ipc == covered_ipc_) return;
  const UniqueFd mounts = namespace_of(tid, Namespace::kMount);
  const UniqueFd ipc_namespace = namespace_of(tid, Namespace::kIpc);
  const UniqueFd own_proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!mounts.valid() || !ipc_namespace.valid() || !own_proc.valid()) return;
  int error = EAGAIN;
  if (may_fork()) {
    // The child of this thread: the main thread, which reaps, does not see it.
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(cover_in({user_namespace_.get(), mounts.get(), ipc_namespace.get(), own_proc.get()}));
    }
    if (child < 0) {
      error = errno;
      const MutexLock lock(mutex_);
      --children_;
      child_ended_.notify_one();
    } else {
      error = wait_for(child);
    }
  }
  if (error != 0) {
    spdlog::info("thread {} sees the kernel's limits of IPC namespace {}: {}", tid, ipc,
                 std::strerror(error));
  }
}

}  // namespace shmvisor
