#include <sched.h>

#include <cerrno>
#include <cstring>

#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"
#include "supervisor/procfiles/proc_mounts.h"

namespace shmvisor {
namespace {

/// Does in a child what `run` would do, up to where the file system has to be served.
Finding try_mounts(ProcMode mode, bool user_namespace) {
  if (mode != ProcMode::kOff && !ProcMounts::kernel_has_files()) {
    return Finding::note("not needed",
                         "/proc has no sysvipc: nothing shows another table than ours");
  }
  return in_throwaway_child([mode, user_namespace] {
    const ProcMountFailure failure = ProcMounts(mode, user_namespace).prepare();
    return failure.failed() ? Finding::no(failure.text()) : Finding::yes();
  });
}

/// After the user namespace that --userns makes.
Finding try_private_ipc(bool user_namespace) {
  return in_throwaway_child([user_namespace] {
    const ProcMountFailure failure = ProcMounts(ProcMode::kOff, user_namespace).prepare();
    if (failure.failed()) return Finding::no(failure.text());
    return ::unshare(CLONE_NEWIPC) == 0 ? Finding::yes() : Finding::no(std::strerror(errno));
  });
}

}  // namespace

std::vector<Probe> proc_mount_probes() {
  return {
      {"proc-fuse", [] { return try_mounts(ProcMode::kFuse, false); },
       "ipcs and sysctl show the command the kernel's table and limits"},
      {"proc-hide", [] { return try_mounts(ProcMode::kHide, false); },
       "--proc=hide is refused, unless with --userns"},
      {"userns", [] { return try_mounts(ProcMode::kOff, true); }, "--userns is refused"},
      {"userns-proc-fuse", [] { return try_mounts(ProcMode::kFuse, true); },
       "with --userns too ipcs and sysctl show the kernel's table and limits"},
      {"private-ipc", [] { return try_private_ipc(false); },
       "--private-ipc leaves semaphores and message queues shared, unless with --userns"},
      {"userns-private-ipc", [] { return try_private_ipc(true); },
       "with --userns too --private-ipc leaves semaphores and message queues shared"},
  };
}

}  // namespace shmvisor
