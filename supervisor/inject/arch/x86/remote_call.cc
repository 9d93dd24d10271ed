#include "supervisor/inject/arch/remote_call.h"

#include <sys/mman.h>

#include "emulation/abi/call_numbers.h"

namespace shmvisor {
namespace {

/// arch/x86/entry/syscalls/syscall_64.tbl of the kernel.
constexpr RemoteCallNumbers kX86_64RemoteCalls = {
    .mmap = 9,
    .munmap = 11,
    .mremap = 25,
    .close = 3,
    .clone = kX86_64Calls.clone,
    .shmdt = kX86_64Calls.shmdt,
    .exit_group = 231,
    .wait4 = 61,
    .mlock2 = 325,
    .munlock = 150,
    .prlimit64 = 302,
    .unshare = kX86_64Calls.unshare,
};

/// arch/x86/entry/syscalls/syscall_32.tbl of the kernel.
constexpr RemoteCallNumbers kI386RemoteCalls = {
    .mmap = 192,  // mmap2, whose offset counts pages
    .munmap = 91,
    .mremap = 163,
    .close = 6,
    .clone = kI386Calls.clone,
    .shmdt = kI386Calls.shmdt,
    .exit_group = 252,
    .wait4 = 114,
    .mlock2 = 376,
    .munlock = 151,
    .prlimit64 = 340,
    .unshare = kI386Calls.unshare,
};

}  // namespace

std::uint64_t call_number(Abi abi, RemoteCall call) {
  switch (abi) {
    case Abi::kX86_64:
      return number_in(kX86_64RemoteCalls, call);
    case Abi::kI386:
      return number_in(kI386RemoteCalls, call);
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
