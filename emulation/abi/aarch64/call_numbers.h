// include/uapi/asm-generic/unistd.h, and arch/arm64/include/asm/unistd32.h (later
// arch/arm64/tools/syscall_32.tbl). tests/call_numbers_test.cc compares the first with the headers
// of the kernel.
#pragma once

#include "emulation/abi/call_numbers.h"

namespace shmvisor {

inline constexpr CallNumbers kAarch64Calls = {
    .shmget = 194,
    .shmat = 196,
    .shmdt = 197,
    .shmctl = 195,
    .ipc = std::nullopt,
    .clone = 220,
    .unshare = 97,
    .setns = 268,
    .variant_bits = 0,
    .shmctl_has_version = false,
    .shmlba_factor = 1,
};

/// ipc(2), 117, is a call of the older ABI (OABI), which no aarch64 kernel has.
inline constexpr CallNumbers kArmCalls = {
    .shmget = 307,
    .shmat = 305,
    .shmdt = 306,
    .shmctl = 308,
    .ipc = std::nullopt,
    .clone = 120,
    .unshare = 337,
    .setns = 375,
    .variant_bits = 0,
    .shmctl_has_version = true,
    .shmlba_factor = 4,
};

constexpr const CallNumbers& call_numbers(Abi abi) {
  switch (abi) {
    case Abi::kAarch64:
      return kAarch64Calls;
    case Abi::kArm:
      return kArmCalls;
  }
  __builtin_unreachable();
}

}  // namespace shmvisor
