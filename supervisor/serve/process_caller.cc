#include "supervisor/serve/process_caller.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "supervisor/kernel/uapi.h"
#include "supervisor/process/proc_file.h"

namespace shmvisor {
namespace {

TaskStatus nobody() {
  TaskStatus status;
  status.uid = status.euid = static_cast<uid_t>(-1);
  status.egid = status.fsgid = static_cast<gid_t>(-1);
  return status;
}

/// process_vm_readv(2) and process_vm_writev(2) stop at the first page they cannot have, and honour
/// its protection, as the kernel's own copies do.
template <typename Byte, typename Transfer>
Result<void> transfer_all(pid_t tid, std::uint64_t address, std::span<Byte> bytes,
                          Transfer transfer) {
  iovec local{};
  local.iov_base = const_cast<std::byte*>(bytes.data());
  local.iov_len = bytes.size();
  iovec remote{};
  remote.iov_base = reinterpret_cast<void*>(address);  // an address of the caller's, not ours
  remote.iov_len = bytes.size();
  const ssize_t moved = transfer(tid, &local, 1, &remote, 1, 0);
  if (moved < 0 || static_cast<std::size_t>(moved) != bytes.size()) return Errno(EFAULT);
  return {};
}

}  // namespace

const TaskStatus& ProcessCaller::ids() {
  if (!ids_) ids_ = read_pidfd_info();
  return ids_ ? *ids_ : status();
}

const TaskStatus& ProcessCaller::status() {
  if (complete_) return *ids_;
  complete_ = true;
  auto read = TaskStatus::read(call_.tid());
  ids_ = read && call_.alive() ? std::move(*read) : nobody();
  return *ids_;
}

std::optional<TaskStatus> ProcessCaller::read_pidfd_info() {
  if (!features_.usable(KernelFeature::kPidfdGetInfo) ||
      !features_.usable(KernelFeature::kPidfdThread)) {
    return std::nullopt;
  }
  const UniqueFd pidfd(
      static_cast<int>(::syscall(SYS_pidfd_open, call_.tid(), unsigned{PIDFD_THREAD})));
  if (!pidfd.valid()) {
    if (errno == EINVAL) features_.absent(KernelFeature::kPidfdThread);
    return std::nullopt;
  }
  pidfd_info info{};
  info.mask = PIDFD_INFO_PID | PIDFD_INFO_CREDS;
  if (::ioctl(pidfd.get(), PIDFD_GET_INFO, &info) != 0) {
    if (errno == ENOTTY || errno == EINVAL) features_.absent(KernelFeature::kPidfdGetInfo);
    return std::nullopt;
  }
  if ((info.mask & PIDFD_INFO_CREDS) == 0 || !call_.alive()) return std::nullopt;
  TaskStatus status;
  status.tgid = static_cast<pid_t>(info.tgid);
  status.ppid = static_cast<pid_t>(info.ppid);
  status.uid = info.ruid;
  status.euid = info.euid;
  status.egid = info.egid;
  status.fsgid = info.fsgid;
  return status;
}

bool ProcessCaller::in_group(gid_t gid) {
  if (gid == ids().fsgid) return true;
  const auto& groups = status().groups;
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

bool ProcessCaller::capable(Capability capability) {
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(capability);
  return (status().effective_capabilities & bit) != 0 && in_our_user_namespace();
}

bool ProcessCaller::in_our_user_namespace() const {
  struct stat theirs {};
  struct stat ours {};
  return ::stat(proc_path(call_.tid(), "ns/user").c_str(), &theirs) == 0 &&
         ::stat("/proc/self/ns/user", &ours) == 0 && theirs.st_ino == ours.st_ino &&
         theirs.st_dev == ours.st_dev && call_.alive();
}

std::uint64_t ProcessCaller::memlock_limit_bytes() {
  // Not prlimit(2): that wants CAP_SYS_RESOURCE for a process of another user.
  const auto text = read_proc_file(call_.tid(), "limits");
  const std::string_view label = "Max locked memory";
  const std::size_t line = text ? text->find(label) : std::string::npos;
  if (line == std::string::npos || !call_.alive()) return 0;
  const std::size_t soft = text->find_first_not_of(' ', line + label.size());
  if (soft == std::string::npos || text->compare(soft, 9, "unlimited") == 0) return UINT64_MAX;
  return std::strtoull(text->c_str() + soft, nullptr, 10);
}

Result<void> ProcessCaller::copy_from_user(std::uint64_t address, std::span<std::byte> bytes) {
  const auto copied = transfer_all(call_.tid(), address, bytes, ::process_vm_readv);
  if (!copied || !call_.alive()) return Errno(EFAULT);
  return {};
}

Result<void> ProcessCaller::copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) {
  if (!call_.alive()) return Errno(EFAULT);
  return transfer_all(call_.tid(), address, bytes, ::process_vm_writev);
}

}  // namespace shmvisor
