#include "supervisor/inject/arch/remote_call.h"

#include <sys/mman.h>

#include "emulation/abi/call_numbers.h"

namespace shmvisor {
namespace {

/// arch/x86/entry/syscalls/syscall_64.tbl of the kernel.
std::uint64_t x86_64_number(RemoteCall call) {
  switch (call) {
    case RemoteCall::kMmap:
      return 9;
    case RemoteCall::kMunmap:
      return 11;
    case RemoteCall::kMremap:
      return 25;
    case RemoteCall::kClose:
      return 3;
    case RemoteCall::kClone:
      return static_cast<std::uint64_t>(kX86_64Calls.clone);
    case RemoteCall::kShmdt:
      return static_cast<std::uint64_t>(kX86_64Calls.shmdt);
    case RemoteCall::kExitGroup:
      return 231;
    case RemoteCall::kWait4:
      return 61;
    case RemoteCall::kMlock2:
      return 325;
    case RemoteCall::kMunlock:
      return 150;
    case RemoteCall::kPrlimit64:
      return 302;
    case RemoteCall::kUnshare:
      return static_cast<std::uint64_t>(kX86_64Calls.unshare);
  }
  __builtin_unreachable();
}

/// arch/x86/entry/syscalls/syscall_32.tbl of the kernel.
std::uint64_t i386_number(RemoteCall call) {
  switch (call) {
    case RemoteCall::kMmap:
      return 192;  // mmap2, whose offset counts pages
    case RemoteCall::kMunmap:
      return 91;
    case RemoteCall::kMremap:
      return 163;
    case RemoteCall::kClose:
      return 6;
    case RemoteCall::kClone:
      return static_cast<std::uint64_t>(kI386Calls.clone);
    case RemoteCall::kShmdt:
      return static_cast<std::uint64_t>(kI386Calls.shmdt);
    case RemoteCall::kExitGroup:
      return 252;
    case RemoteCall::kWait4:
      return 114;
    case RemoteCall::kMlock2:
      return 376;
    case RemoteCall::kMunlock:
      return 151;
    case RemoteCall::kPrlimit64:
      return 340;
    case RemoteCall::kUnshare:
      return static_cast<std::uint64_t>(kI386Calls.unshare);
  }
  __builtin_unreachable();
}

}  // namespace

std::uint64_t call_number(Abi abi, RemoteCall call) {
  switch (abi) {
    case Abi::kX86_64:
      return x86_64_number(call);
    case Abi::kI386:
      return i386_number(call);
  }
  __builtin_unreachable();
}

MmapForm mmap_form(Abi abi) {
  constexpr std::uint64_t kMmap2UnitBytes = 4096;
  switch (abi) {
    case Abi::kX86_64:
      return {1, MAP_32BIT};
    case Abi::kI386:
      return {kMmap2UnitBytes, 0};  // what an i386 call maps is below 4 GiB anyway
  }
  __builtin_unreachable();
}

}  // namespace shmvisor
