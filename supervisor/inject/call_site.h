// Where a thread that is stopped anywhere can be made to enter the kernel.
//
// A thread stopped in the middle of its own code has no entering instruction behind it. Every
// process has some: in the vdso, else in its libraries. Nothing is written into its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// The address of a `syscall` or `int $0x80` in memory that `tid` can execute. ENOEXEC where there
/// is none; EACCES where we may not look.
Result<std::uint64_t> find_call_site(pid_t tid, Abi abi, KernelFeatures& features);

}  // namespace shmvisor
