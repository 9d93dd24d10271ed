// The seccomp filter that a supervised command runs under, as a classic BPF program.
//
// What it answers, by architecture of the call (struct seccomp_data.arch) and number:
//   x86-64  shmget 29, shmat 30, shmctl 31, shmdt 67           USER_NOTIF
//           but shmat and shmdt with kTracedArgument           TRACE: ENOSYS where nobody traces
//           unshare 272, setns 308, clone 56 with CLONE_NEWIPC USER_NOTIF
//   x32     shmget, shmat, shmctl, shmdt, __X32_SYSCALL_BIT    ERRNO(ENOSYS)
//   i386    shmget 395, shmctl 396, shmat 397, shmdt 398, and ipc 117 with a first argument whose
//           low 16 bits are SHMAT 21 to SHMCTL 24              USER_NOTIF
//           unshare 310, setns 346, clone 120 with CLONE_NEWIPC
//                                                              USER_NOTIF
//   all else of these three                                    ALLOW
//   on an aarch64 kernel, the same of aarch64 (shmget 194, shmctl 195, shmat 196, shmdt 197) as of
//   x86-64, and of arm (shmat 305, shmdt 306, shmget 307, shmctl 308; no ipc) as of i386
//   any other architecture                                     ERRNO(ENOSYS)
// An unshare(2) with CLONE_VM and nothing else is allowed: it changes nothing, and a caller is made
// to run it (SiteRewriter).
// unshare(2), setns(2) and clone(2) are let through as they are; being told of the first two is
// what allows to remember a thread's namespaces from one call of it to the next. The flags of
// clone3(2) are in memory, which no filter reads, and to be told of each would cost 15 to 30
// µs, where a thread begins and ends in 50. ipc(2) takes its version in the upper bits of the first
// argument (ipc/syscall.c: ksys_ipc), so they do not count. Native calls that are allowed are
// judged by number alone, but for clone(2): a filter that reads no argument lets the kernel (5.11+,
// kernel/seccomp.c: seccomp_cache_prepare) see once that a number is always allowed, and not run
// the program for it again.
//
// Ownership: the program is the caller's, and holds nothing else.
// Thread rule: any thread; but libseccomp remembers for the process what it is to take for granted.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

/// The first argument of a shmat or shmdt by which code that a tracer runs tells it that it has
/// done its part. It is neither a valid identifier nor a page's address, so nobody else means it.
inline constexpr std::uint64_t kTracedArgument = 0x8f3a5c719ad3c0deU;

/// Errors, from libseccomp or the memfd that the program is read back from: ENOMEM; EMFILE, ENFILE;
/// EINVAL for a libseccomp without user notification; EFAULT for a fault of its own. Whether the
/// kernel takes the program shows when it is installed.
Result<std::vector<sock_filter>> build_filter_program();

}  // namespace shmvisor
