// The text of the files in /proc that show System V shared memory, and what may be written there.
//
//   /proc/sysvipc/shm          sysvipc_shm_proc_show() of ipc/shm.c, on a 64-bit kernel
//   /proc/sys/kernel/shmmax    unsigned long, proc_doulongvec_minmax() of kernel/sysctl.c
//   /proc/sys/kernel/shmall    the same
//   /proc/sys/kernel/shmmni, shm_rmid_forced, shm_next_id
//                              int between bounds, proc_dointvec_minmax()
//
// Errors: EINVAL for every text that the kernel refuses. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"

namespace shmvisor {

/// The first line, with its newline.
[[nodiscard]] std::string_view shm_table_heading();
/// One segment's line, with its newline.
[[nodiscard]] std::string shm_table_line(int id, const ShmidDs& ds, std::uint64_t rss_bytes,
                                         std::uint64_t swap_bytes);

/// What read(2) gives: the number and a newline, cut off after `size` bytes, at the start of the
/// file; nothing anywhere else. So a number can be read in one piece only.
[[nodiscard]] std::string read_sysctl(std::uint64_t value, std::uint64_t offset, std::size_t size);
[[nodiscard]] std::string read_sysctl(int value, std::uint64_t offset, std::size_t size);

/// What write(2) does with some bytes.
template <typename Number>
struct SysctlWrite {
  bool ignored = false;  ///< taken, and nothing changed: not at the start of the file, or no byte
  Number value = 0;      ///< to be set, unless ignored
  std::size_t taken_bytes = 0;  ///< write(2)'s result
};

/// One number, decimal or with a C prefix, in white space; a second number is left to the next
/// write, which is ignored (kernel.sysctl_writes_strict=1). Only what is shorter than a
/// page is looked at, and the rest counts as taken.
[[nodiscard]] Result<SysctlWrite<std::uint64_t>> write_ulong_sysctl(std::string_view bytes,
                                                                    std::uint64_t offset);
[[nodiscard]] Result<SysctlWrite<int>> write_int_sysctl(std::string_view bytes,
                                                        std::uint64_t offset, int minimum,
                                                        int maximum);

}  // namespace shmvisor
