#include "supervisor/namespaces/ipc_home.h"

#include <sys/stat.h>

#include <utility>

#include "supervisor/credentials/thread_namespace.h"

namespace shmvisor {

void IpcHome::set(UniqueFd ipc) {
  struct stat status {};
  if (!ipc.valid() || ::fstat(ipc.get(), &status) != 0) return;
  const MutexLock lock(mutex_);
  if (inode_ != 0) return;
  file_ = std::move(ipc);
  inode_ = status.st_ino;
  note();
}

void IpcHome::keep_in(KeptHome* place) {
  const MutexLock lock(mutex_);
  kept_ = place;
  note();
}

void IpcHome::note() {
  if (kept_ == nullptr || inode_ == 0) return;
  kept_->inode.store(inode_);
  kept_->file.store(file_.get());
}

std::uint64_t IpcHome::inode() const {
  const MutexLock lock(mutex_);
  return inode_;
}

bool IpcHome::is(std::uint64_t ipc_namespace, pid_t tid) {
  if (inode() == 0) {
    if (auto file = open_namespace(tid, Namespace::kIpc)) set(std::move(*file));
  }
  return inode() == ipc_namespace;
}

}  // namespace shmvisor
