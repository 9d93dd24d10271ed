// Copies to or from a caller's memory that reach below the caller's stack.
//
// The kernel's own copies grow a stack where they reach below it, within the RLIMIT_STACK of the
// process that copies, which natively is the caller. process_vm_readv(2) and process_vm_writev(2)
// grow it too before Linux 6.5, but within *our* RLIMIT_STACK, which is larger, and from 6.5 on not
// at all (find_extend_vma() and acct_stack_growth() of mm/mmap.c; get_user_pages_remote() of
// mm/gup.c).
//
// Errors: is_shortage(). Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "policy/base/result.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// Whether process_vm_readv(2) grows a stack on this kernel. Tried once, on a mapping of our own.
[[nodiscard]] bool copies_grow_stacks();

/// Whether a copy would grow a stack of the caller's further than the caller may.
Result<bool> is_too_far_below_stack(pid_t tid, std::uint64_t address, KernelFeatures& features);

/// Grows a stack of the caller's to `address` if the caller may do so. True if memory may be mapped
/// there now that was not before.
Result<bool> grow_stack(pid_t tid, std::uint64_t address, KernelFeatures& features);

}  // namespace shmvisor
