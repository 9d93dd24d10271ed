// ProcFileSystem: serves the files of proc_file_list.h over FUSE, to all processes that open them
// in the command's mount namespace.
//
// It has threads of its own (RequestThreads), which wait for no process that makes a request: to
// answer they read /proc and take registry locks, and no thread holds such a lock while it waits
// for a process. A page fault, which would keep the process's memory map locked, is refused before
// that. Each user has a share of the threads (RequestQueue), and of the open files
// (OpenFileShares).
//
// No exception passes through libfuse: a request fails with ENOMEM where there is no memory.
//
// Sizes: stat(2) and SEEK_END show 0, as for all files of /proc. But the kernel is told of a size
// above 0: sendfile(2) and splice(2) read through the page cache, and with size 0 they would see
// the end of the file there without asking us, so that copies came out empty. We refuse such reads
// (EINVAL, as the kernel's own table does), and programs read(2) instead.
//
// The kernel ends the connection when its last mount is gone, or when we die. Requests under way
// fail then, and no process keeps waiting. Where a keeper holds the connection, too, the next
// server goes on: it begins with the request that the kernel began with, has the kernel send again
// what was not answered (FUSE_NOTIFY_RESEND, Linux 6.9), and opens again what was open, for
// processes whose calls go to the registry of that file: of who had opened it nothing else is known
// any more.
//
// Ownership: borrows all arguments. Thread rule: start and wait_for_end from one thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/keeper/keeper_page.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/procfiles/open_files.h"
#include "supervisor/procfiles/proc_file_list.h"
#include "supervisor/procfiles/request_threads.h"

struct fuse_entry_param;
struct fuse_file_info;
struct fuse_req;
struct fuse_session;
struct stat;

namespace shmvisor {

class ProcFileSystem {
 public:
  /// `home`: see IpcNamespaces.
  ProcFileSystem(IpcNamespaces& namespaces, std::shared_ptr<OpenFileShares> shares,
                 std::shared_ptr<IpcHome> home = nullptr);
  ProcFileSystem(const ProcFileSystem&) = delete;
  ProcFileSystem& operator=(const ProcFileSystem&) = delete;
  /// Precondition: never started, or wait_for_end() has answered true, or running() false.
  ~ProcFileSystem();

  /// Serves a connection that is mounted already. `beginning`: where others will serve it on, once
  /// we have died, or have served it before; borrowed, null without. Errors: EAGAIN, ENOMEM,
  /// EINVAL.
  Result<void> start(UniqueFd connection, FuseBeginning* beginning = nullptr);
  /// Whether it is still mounted anywhere.
  [[nodiscard]] bool running() const { return threads_.running(); }
  /// Waits until the last mount is gone. False where a process holds the mount namespace for
  /// longer. Our process must then end without destroying this.
  bool wait_for_end(std::chrono::milliseconds bound) { return threads_.wait_for_end(bound); }

 private:
  /// The callbacks of libfuse, which get `this` as the session's user data.
  struct Operations;
  /// The size that a file has in the kernel's cache.
  struct KernelSize {
    bool announced = false;   ///< it is above 0
    off_t highest_bytes = 0;  ///< it has been, at most
  };

  /// The user who is charged for the thread's requests.
  static uid_t payer(pid_t tid);
  [[nodiscard]] fuse_entry_param entry(std::uint64_t inode, Reader& reader) const;
  [[nodiscard]] struct stat attributes(std::uint64_t inode, Reader& reader) const;
  Result<std::uint64_t> open(const ProcFileInfo& file, int flags, pid_t tid);
  /// The same without a look at rights, for a file that was opened before we served.
  /// Null where the thread's registry is not the file's.
  [[nodiscard]] std::unique_ptr<OpenFile> open_again(std::uint64_t handle, const ProcFileInfo& file,
                                                     int flags, pid_t tid);
  /// Has the file that a request names, if it was opened before we served.
  void revive(std::uint64_t handle, const ProcFileInfo* file, int flags, pid_t tid);
  /// Goes on with a connection that others have begun.
  void take_over(FuseBeginning& beginning, int connection);
  [[nodiscard]] KernelSize& size_of(std::uint64_t inode) REQUIRES(sizes_mutex_);
  /// The kernel is about to set the file's size to 0.
  void forget_contents(std::uint64_t inode);
  /// After a write the kernel's size of the file is `end` at least.
  void note_write(std::uint64_t inode, off_t end);
  /// Tells the kernel of a size above 0, if need be: fuse_notify_store() of fs/fuse/dev.c.
  void announce_contents(std::uint64_t inode);
  /// Makes the kernel show the size of our next answer to the process that asked, but keep its own:
  /// fuse_change_attributes() of fs/fuse/inode.c does so with answers that are out of date.
  void outdate_size(std::uint64_t inode);

  [[nodiscard]] Reader reader(pid_t tid) { return {tid, namespaces_, home_.get()}; }

  IpcNamespaces& namespaces_;
  const std::shared_ptr<IpcHome> home_;
  const std::int64_t started_seconds_;
  fuse_session* session_ = nullptr;
  OpenFiles open_files_;
  Mutex sizes_mutex_;
  std::array<KernelSize, kProcFiles.size()> kernel_sizes_ GUARDED_BY(sizes_mutex_){};
  off_t sizes_outdated_ GUARDED_BY(sizes_mutex_) = 0;
  /// Last, because they use all of the above.
  RequestThreads threads_;
};

}  // namespace shmvisor
