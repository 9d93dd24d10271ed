// IpcPerm: owner, creator and mode of a System V IPC object, and the questions asked of them.
#pragma once

#include <sys/types.h>

#include "emulation/ipc/subject.h"

namespace shmvisor {

struct IpcPerm {
  key_t key = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uid_t cuid = 0;
  gid_t cgid = 0;
  /// Permission bits, and above them SHM_DEST and SHM_LOCKED.
  mode_t mode = 0;
};

/// ipcperms() of ipc/util.c: whether `subject` has every permission that `flag` asks for in any of
/// its three octal digits, or CAP_IPC_OWNER.
[[nodiscard]] bool ipcperms(const IpcPerm& perm, Subject& subject, int flag);

/// The rule of ipcctl_obtain_check(): IPC_SET and IPC_RMID are for the owner, the creator and
/// CAP_SYS_ADMIN.
[[nodiscard]] bool may_control(const IpcPerm& perm, Subject& subject);

/// Owner or creator by effective uid.
[[nodiscard]] bool owns(const IpcPerm& perm, Subject& subject);

}  // namespace shmvisor
