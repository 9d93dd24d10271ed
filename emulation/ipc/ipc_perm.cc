#include "emulation/ipc/ipc_perm.h"

namespace shmvisor {

bool owns(const IpcPerm& perm, Subject& subject) {
  const uid_t euid = subject.euid();
  return euid == perm.cuid || euid == perm.uid;
}

bool ipcperms(const IpcPerm& perm, Subject& subject, int flag) {
  const auto bits = static_cast<mode_t>(flag);
  const mode_t requested = (bits >> 6) | (bits >> 3) | bits;
  mode_t granted = perm.mode;
  if (owns(perm, subject)) {
    granted >>= 6;
  } else if ((requested & ~granted & 7) == 0 && (requested & ~(granted >> 3) & 7) == 0) {
    return true;  // group and others alike: no need to read the subject's groups
  } else if (subject.in_group(perm.cgid) || subject.in_group(perm.gid)) {
    granted >>= 3;
  }
  return (requested & ~granted & 7) == 0 || subject.capable(Capability::kIpcOwner);
}

bool may_control(const IpcPerm& perm, Subject& subject) {
  return owns(perm, subject) || subject.capable(Capability::kSysAdmin);
}

}  // namespace shmvisor
