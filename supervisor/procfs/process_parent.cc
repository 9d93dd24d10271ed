#include "supervisor/procfs/process_parent.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {

std::optional<pid_t> parent_by_pidfd(pid_t pid, KernelFeatures& features) {
  if (!features.usable(KernelFeature::kPidfdGetInfo)) return std::nullopt;
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) return std::nullopt;
  pidfd_info info{};
  info.mask = PIDFD_INFO_PID;
  if (::ioctl(pidfd.get(), PIDFD_GET_INFO, &info) == 0) return static_cast<pid_t>(info.ppid);
  if (errno == ENOTTY || errno == EINVAL) features.mark_absent(KernelFeature::kPidfdGetInfo);
  return std::nullopt;
}

}  // namespace shmvisor
