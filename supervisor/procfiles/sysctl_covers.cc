#include "supervisor/procfiles/sysctl_covers.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "supervisor/process/proc_file.h"
#include "supervisor/process/thread_identity.h"
#include "supervisor/procfiles/proc_file_list.h"

namespace shmvisor {
namespace {

struct Places {
  const UniqueFd& user;
  const UniqueFd& mounts;
  const UniqueFd& ipc;
};

bool is_ours(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && status.f_type == FUSE_SUPER_MAGIC;
}

bool enter(const UniqueFd& name_space, int kind) { return ::setns(name_space.get(), kind) == 0; }

/// In the forked child of a program with threads: hardly more than system calls. An errno, or 0.
int cover_in(const Places& places) {
  if (places.user.valid() && !enter(places.user, CLONE_NEWUSER)) return errno;
  if (!enter(places.mounts, CLONE_NEWNS)) return errno;
  std::array<UniqueFd, kProcFiles.size()> files;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (kProcFiles[i].file == ProcFile::kTable) continue;
    files[i].reset(
        ::open_tree(AT_FDCWD, kProcFiles[i].path, OPEN_TREE_CLONE | unsigned{OPEN_TREE_CLOEXEC}));
    // Another /proc may be mounted there.
    if (files[i].valid() && !is_ours(files[i].get())) files[i].reset();
  }
  if (!enter(places.ipc, CLONE_NEWIPC)) return errno;
  int error = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!files[i].valid()) continue;
    const UniqueFd there(::open(kProcFiles[i].path, O_PATH | O_CLOEXEC));
    if (!there.valid() || is_ours(there.get())) continue;
    if (::move_mount(files[i].get(), "", there.get(), "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      error = errno;
    }
  }
  return error;
}

UniqueFd open_namespace(pid_t tid, const char* name) {
  return UniqueFd(::open(proc_path(tid, name).c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

SysctlCovers::SysctlCovers(pid_t command) {
  if (NamespaceIds::of_thread(command).user != NamespaceIds::ours().user) {
    user_namespace_ = open_namespace(command, "ns/user");
  }
}

void SysctlCovers::cover(pid_t tid) const {
  const std::uint64_t ipc = NamespaceIds::of_thread(tid).ipc;
  if (ipc == 0 || ipc == NamespaceIds::ours().ipc) return;
  const UniqueFd mounts = open_namespace(tid, "ns/mnt");
  const UniqueFd ipc_namespace = open_namespace(tid, "ns/ipc");
  if (!mounts.valid() || !ipc_namespace.valid()) return;
  const Places places{user_namespace_, mounts, ipc_namespace};
  // The child of this thread: the main thread, which reaps, does not see it.
  const pid_t child = ::fork();
  if (child == 0) ::_exit(cover_in(places));
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, __WNOTHREAD) < 0 && errno == EINTR) {
  }
  const int error = child < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  if (error != 0) {
    spdlog::info("thread {} sees the kernel's limits of IPC namespace {}: errno {}", tid, ipc,
                 error);
  }
}

}  // namespace shmvisor
