// The system calls that are answered here, for whoever writes a seccomp filter: ours
// (policy/filter/filter_program.h) and those of OCI runtimes (policy/oci/). Both name the calls,
// and libseccomp knows their numbers.
#pragma once

#include <array>
#include <cstdint>

#include "emulation/abi/call_numbers.h"

namespace shmvisor {

inline constexpr std::array<const char*, 4> kShmCalls = {"shmget", "shmat", "shmctl", "shmdt"};

/// i386 and a few others have one call for all of System V IPC; its first argument says which.
inline constexpr const char* kIpcCall = "ipc";
inline constexpr std::array<std::uint32_t, 4> kShmIpcSubcalls = {
    ipc_subcall::kShmat, ipc_subcall::kShmdt, ipc_subcall::kShmget, ipc_subcall::kShmctl};

}  // namespace shmvisor
