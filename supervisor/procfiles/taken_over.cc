// What a ProcFileSystem does where others have served its mount before.
#define FUSE_USE_VERSION 314  // before the first header of libfuse

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "supervisor/procfiles/proc_file_system.h"

namespace shmvisor {
namespace {

/// FUSE_NOTIFY_RESEND of a newer <linux/fuse.h>.
constexpr int kNotifyResend = 7;

}  // namespace

void ProcFileSystem::take_over(FuseBeginning& beginning, int connection) {
  std::array<std::byte, FuseBeginning::kMostBytes> bytes = beginning.bytes;
  fuse_buf begun{};
  begun.mem = bytes.data();
  begun.size = beginning.size_bytes.load();
  // The kernel refuses the answer, which it has had (ENOENT), and libfuse goes on. Where nothing is
  // kept the request may have been read and lost with who read it: it is sent again, too.
  if (begun.size != 0) fuse_session_process_buf(session_, &begun);
  fuse_out_header again{};
  again.len = sizeof(again);
  again.error = kNotifyResend;
  // Before Linux 6.9 requests that were read and not answered wait until the connection ends.
  if (::write(connection, &again, sizeof(again)) < 0) {
    spdlog::debug("FUSE_NOTIFY_RESEND: errno {}", errno);
  }
}

std::unique_ptr<OpenFile> ProcFileSystem::open_again(std::uint64_t handle, const ProcFileInfo& file,
                                                     int flags, pid_t tid) {
  Reader opener = reader(tid);
  auto found = opener.registry();
  if (!found) return nullptr;
  // Or who opened it in an IPC namespace of its own could have another, with rights elsewhere,
  // write there: a program that is setuid and writes to what it was given.
  const std::uint32_t mark = OpenFiles::mark_for(found->ipc_namespace);
  if (mark == OpenFiles::kNoMark || mark != OpenFiles::mark_of(handle)) return nullptr;
  return OpenFile::make(file, std::move(found->registry), opener, opener.sysctl_owner(), flags);
}

void ProcFileSystem::revive(std::uint64_t handle, const ProcFileInfo* file, int flags, pid_t tid) {
  if (!open_files_.is_older(handle)) return;
  if (file == nullptr || tid == 0) return;
  open_files_.revive(handle, payer(tid), [&] { return open_again(handle, *file, flags, tid); });
}

}  // namespace shmvisor
