#include "supervisor/inject/arch/remote_call.h"

#include "emulation/abi/call_numbers.h"

namespace shmvisor {
namespace {

/// include/uapi/asm-generic/unistd.h of the kernel.
std::uint64_t aarch64_number(RemoteCall call) {
  switch (call) {
    case RemoteCall::kMmap:
      return 222;
    case RemoteCall::kMunmap:
      return 215;
    case RemoteCall::kMremap:
      return 216;
    case RemoteCall::kClose:
      return 57;
    case RemoteCall::kClone:
      return static_cast<std::uint64_t>(kAarch64Calls.clone);
    case RemoteCall::kShmdt:
      return static_cast<std::uint64_t>(kAarch64Calls.shmdt);
    case RemoteCall::kExitGroup:
      return 94;
    case RemoteCall::kWait4:
      return 260;
    case RemoteCall::kMlock2:
      return 284;
    case RemoteCall::kMunlock:
      return 229;
    case RemoteCall::kPrlimit64:
      return 261;
    case RemoteCall::kUnshare:
      return static_cast<std::uint64_t>(kAarch64Calls.unshare);
  }
  __builtin_unreachable();
}

/// arch/arm64/tools/syscall_32.tbl of the kernel.
std::uint64_t arm_number(RemoteCall call) {
  switch (call) {
    case RemoteCall::kMmap:
      return 192;  // mmap2, whose offset counts 4 KiB whatever a page is
    case RemoteCall::kMunmap:
      return 91;
    case RemoteCall::kMremap:
      return 163;
    case RemoteCall::kClose:
      return 6;
    case RemoteCall::kClone:
      return static_cast<std::uint64_t>(kArmCalls.clone);
    case RemoteCall::kShmdt:
      return static_cast<std::uint64_t>(kArmCalls.shmdt);
    case RemoteCall::kExitGroup:
      return 248;
    case RemoteCall::kWait4:
      return 114;
    case RemoteCall::kMlock2:
      return 390;
    case RemoteCall::kMunlock:
      return 151;
    case RemoteCall::kPrlimit64:
      return 369;
    case RemoteCall::kUnshare:
      return static_cast<std::uint64_t>(kArmCalls.unshare);
  }
  __builtin_unreachable();
}

}  // namespace

std::uint64_t call_number(Abi abi, RemoteCall call) {
  switch (abi) {
    case Abi::kAarch64:
      return aarch64_number(call);
    case Abi::kArm:
      return arm_number(call);
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
