// ProcFileSystem: serves the files of proc_file_list.h to whoever opens them in the command's mount
// namespace, over FUSE.
//
// One thread, blocked in a read of /dev/fuse. It waits for nobody: to answer it reads /proc and
// takes registry locks, which no holder keeps while it waits for a process in such a request; and a
// page fault, which would keep that process's memory map locked, is refused (EIO) before either.
//
// The kernel ends the connection when the last mount of it has gone, or when we die: requests
// under way fail then, and nobody keeps waiting.
//
// Ownership: borrows what it is given. Thread rule: start and wait_for_end from one thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/process/ipc_namespaces.h"
#include "supervisor/procfiles/open_file.h"

struct fuse_entry_param;
struct fuse_file_info;
struct fuse_req;
struct fuse_session;
struct stat;

namespace shmvisor {

class ProcFileSystem {
 public:
  explicit ProcFileSystem(IpcNamespaces& namespaces);
  ProcFileSystem(const ProcFileSystem&) = delete;
  ProcFileSystem& operator=(const ProcFileSystem&) = delete;
  /// Precondition: never started, or wait_for_end() has answered true, or running() false.
  ~ProcFileSystem();

  /// Serves a connection that is mounted already. Errors: EAGAIN, ENOMEM, EINVAL.
  Result<void> start(UniqueFd connection);
  /// Whether it is mounted anywhere still.
  [[nodiscard]] bool running() const {
    const std::lock_guard lock(mutex_);
    return running_;
  }
  /// Waits until the last mount has gone; false where it has not within a second, since somebody
  /// holds the mount namespace. The process must then end without destroying this.
  bool wait_for_end();

 private:
  /// The callbacks of libfuse, which know us as the session's user data.
  struct Operations;

  void run();
  [[nodiscard]] fuse_entry_param entry(std::uint64_t inode, Reader& reader) const;
  [[nodiscard]] struct stat attributes(std::uint64_t inode, Reader& reader) const;
  Result<std::uint64_t> open(const ProcFileInfo& file, int flags, pid_t tid);
  [[nodiscard]] OpenFile* opened(std::uint64_t handle);

  IpcNamespaces& namespaces_;
  const std::int64_t started_seconds_;
  fuse_session* session_ = nullptr;
  std::unordered_map<std::uint64_t, std::unique_ptr<OpenFile>> open_files_;
  std::uint64_t last_handle_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  bool running_ = false;
};

}  // namespace shmvisor
