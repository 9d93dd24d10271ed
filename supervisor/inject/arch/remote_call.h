// The system calls that a held thread is made to run, and how each ABI of this architecture spells
// them.
//
// Implemented once for each architecture, in a folder beside this file. Thread rule: constants.
#pragma once

#include <cstdint>

#include "emulation/abi/shm_abi.h"

namespace shmvisor {

enum class RemoteCall : std::uint8_t {
  kMmap,
  kMunmap,
  kMremap,
  kClose,
  kClone,
  kShmdt,
  kExitGroup,
  kWait4,
  kMlock2,
  kMunlock,
  kPrlimit64,
  kUnshare
};

/// The numbers in one ABI.
struct RemoteCallNumbers {
  int mmap;
  int munmap;
  int mremap;
  int close;
  int clone;
  int shmdt;
  int exit_group;
  int wait4;
  int mlock2;
  int munlock;
  int prlimit64;
  int unshare;
};

[[nodiscard]] constexpr std::uint64_t number_in(const RemoteCallNumbers& numbers, RemoteCall call) {
  const auto number = [&] {
    switch (call) {
      case RemoteCall::kMmap:
        return numbers.mmap;
      case RemoteCall::kMunmap:
        return numbers.munmap;
      case RemoteCall::kMremap:
        return numbers.mremap;
      case RemoteCall::kClose:
        return numbers.close;
      case RemoteCall::kClone:
        return numbers.clone;
      case RemoteCall::kShmdt:
        return numbers.shmdt;
      case RemoteCall::kExitGroup:
        return numbers.exit_group;
      case RemoteCall::kWait4:
        return numbers.wait4;
      case RemoteCall::kMlock2:
        return numbers.mlock2;
      case RemoteCall::kMunlock:
        return numbers.munlock;
      case RemoteCall::kPrlimit64:
        return numbers.prlimit64;
      case RemoteCall::kUnshare:
        return numbers.unshare;
    }
    __builtin_unreachable();
  }();
  return static_cast<std::uint64_t>(number);
}

/// The number of `call` in `abi`.
[[nodiscard]] std::uint64_t call_number(Abi abi, RemoteCall call);

/// The descriptor of an mmap(2) without a file: -1.
inline constexpr std::uint64_t kNoFile = ~std::uint64_t{0};

/// What differs between ABIs in the arguments of their mmap(2).
struct MmapForm {
  std::uint64_t offset_unit_bytes;  ///< the offset counts these
  int below_4gib_flag;              ///< asks for an address below 4 GiB; 0 where each one is
};
[[nodiscard]] MmapForm mmap_form(Abi abi);

}  // namespace shmvisor
