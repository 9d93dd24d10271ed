#include "supervisor/inject/arch/remote_call.h"

#include "emulation/abi/call_numbers.h"

namespace shmvisor {
namespace {

/// include/uapi/asm-generic/unistd.h of the kernel.
constexpr RemoteCallNumbers kAarch64RemoteCalls = {
    .mmap = 222,
    .munmap = 215,
    .mremap = 216,
    .close = 57,
    .clone = kAarch64Calls.clone,
    .shmdt = kAarch64Calls.shmdt,
    .exit_group = 94,
    .wait4 = 260,
    .mlock2 = 284,
    .munlock = 229,
    .prlimit64 = 261,
    .unshare = kAarch64Calls.unshare,
};

/// arch/arm64/tools/syscall_32.tbl of the kernel.
constexpr RemoteCallNumbers kArmRemoteCalls = {
    .mmap = 192,  // mmap2, whose offset counts 4 KiB whatever a page is
    .munmap = 91,
    .mremap = 163,
    .close = 6,
    .clone = kArmCalls.clone,
    .shmdt = kArmCalls.shmdt,
    .exit_group = 248,
    .wait4 = 114,
    .mlock2 = 390,
    .munlock = 151,
    .prlimit64 = 369,
    .unshare = kArmCalls.unshare,
};

}  // namespace

std::uint64_t call_number(Abi abi, RemoteCall call) {
  switch (abi) {
    case Abi::kAarch64:
      return number_in(kAarch64RemoteCalls, call);
    case Abi::kArm:
      return number_in(kArmRemoteCalls, call);
  }
  __builtin_unreachable();
}

MmapForm mmap_form(Abi abi) {
  constexpr std::uint64_t kMmap2UnitBytes = 4096;
  switch (abi) {
    case Abi::kAarch64:
      return {1, 0};
    case Abi::kArm:
      return {kMmap2UnitBytes, 0};  // what an arm call maps is below 4 GiB anyway
  }
  __builtin_unreachable();
}

}  // namespace shmvisor
