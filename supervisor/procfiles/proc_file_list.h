// The files of /proc that show the registry instead of the kernel's table.
//
// Modes are the kernel's (ipc/util.c: ipc_init_proc_interface(); ipc/ipc_sysctl.c). What may be
// written does not follow from them alone, see reader.h.
#pragma once

#include <sys/types.h>

#include <array>

namespace shmvisor {

enum class ProcFile { kTable, kShmmax, kShmall, kShmmni, kShmRmidForced, kShmNextId };

struct ProcFileInfo {
  ProcFile file;
  const char* name;  ///< in our file system
  const char* path;  ///< where it is mounted
  mode_t permissions;
};

inline constexpr std::array<ProcFileInfo, 6> kProcFiles{{
    {ProcFile::kTable, "shm", "/proc/sysvipc/shm", 0444},
    {ProcFile::kShmmax, "shmmax", "/proc/sys/kernel/shmmax", 0644},
    {ProcFile::kShmall, "shmall", "/proc/sys/kernel/shmall", 0644},
    {ProcFile::kShmmni, "shmmni", "/proc/sys/kernel/shmmni", 0644},
    {ProcFile::kShmRmidForced, "shm_rmid_forced", "/proc/sys/kernel/shm_rmid_forced", 0644},
    {ProcFile::kShmNextId, "shm_next_id", "/proc/sys/kernel/shm_next_id", 0444},
}};

}  // namespace shmvisor
