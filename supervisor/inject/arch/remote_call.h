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
