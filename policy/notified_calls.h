// The system calls that are answered here, for whoever writes a seccomp filter: ours
// (policy/filter_program.h) and those of OCI runtimes (policy/oci/).
//
// Numbers are libseccomp's, negative for a call that the native architecture has not.
// Source: <linux/ipc.h> for the sub-calls, which <sys/ipc.h> forbids to include beside it;
// ipc/syscall.c (ksys_ipc) for the version in the upper bits of ipc(2)'s first argument.
#pragma once

#include <seccomp.h>

#include <array>
#include <cstdint>

namespace shmvisor {

struct NotifiedCall {
  const char* name;
  int number;
};

inline constexpr std::array<NotifiedCall, 4> kShmCalls = {{{"shmget", SCMP_SYS(shmget)},
                                                           {"shmat", SCMP_SYS(shmat)},
                                                           {"shmctl", SCMP_SYS(shmctl)},
                                                           {"shmdt", SCMP_SYS(shmdt)}}};

/// i386 and a few others have one call for all of System V IPC; its first argument says which.
inline constexpr NotifiedCall kIpcCall = {"ipc", SCMP_SYS(ipc)};
/// SHMAT, SHMDT, SHMGET and SHMCTL.
inline constexpr std::array<std::uint32_t, 4> kShmIpcSubcalls = {21, 22, 23, 24};
/// What of the first argument is the sub-call.
inline constexpr std::uint32_t kIpcSubcallMask = 0xffff;

}  // namespace shmvisor
