// arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl. tests/call_numbers_test.cc compares
// them with the headers of the kernel.
#pragma once

#include "emulation/abi/call_numbers.h"

namespace shmvisor {

/// __X32_SYSCALL_BIT: x32 has the numbers of x86-64 with it.
inline constexpr int kX32Bit = 0x40000000;

inline constexpr CallNumbers kX86_64Calls = {
    .shmget = 29,
    .shmat = 30,
    .shmdt = 67,
    .shmctl = 31,
    .ipc = std::nullopt,
    .clone = 56,
    .unshare = 272,
    .setns = 308,
    .variant_bits = kX32Bit,
    .shmctl_has_version = false,
    .shmlba_factor = 1,
};

inline constexpr CallNumbers kI386Calls = {
    .shmget = 395,
    .shmat = 397,
    .shmdt = 398,
    .shmctl = 396,
    .ipc = 117,
    .clone = 120,
    .unshare = 310,
    .setns = 346,
    .variant_bits = 0,
    .shmctl_has_version = false,
    .shmlba_factor = 1,
};

constexpr const CallNumbers& call_numbers(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return kX86_64Calls;
    case Abi::kI386:
      return kI386Calls;
  }
  __builtin_unreachable();
}

}  // namespace shmvisor
