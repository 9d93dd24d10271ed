// unmap_by_force: takes a file out of a process that did not ask for it.
//
// The range stays reserved: another mapping is put there, of which each access raises a signal, and
// nothing else comes to lie there by chance. For SIGSEGV it is an anonymous one without any rights.
// For SIGBUS it is one of a file that is too short, which takes no descriptor: an anonymous shared
// mapping of one page is made longer than its file (mremap(2)), and its end put there.
//
// Each range is replaced in one go (mmap(2) and mremap(2) with a fixed address). Those that
// mseal(2) protects stay.
//
// Thread rule: the thread that holds the process; may wait for what the process does with its
// memory map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulation/memmap/address_range.h"
#include "emulation/memmap/file_identity.h"
#include "policy/base/result.h"
#include "supervisor/inject/held_process.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

enum class AccessGives : std::uint8_t { kSigsegv, kSigbus };

struct ForcedUnmapping {
  std::size_t ranges = 0;
  std::uint64_t bytes = 0;
  Errno error{0};  ///< why one could not be unmapped; EOPNOTSUPP: a filter of its own forbids it
};

/// Where the thread's process maps `file`. Errors: those of MemoryMap.
Result<std::vector<AddressRange>> mapped_ranges(pid_t tid, const FileIdentity& file,
                                                KernelFeatures& features);

/// Every mapping of `file` that the process has. Errors: ESRCH where it is gone; EACCES where it
/// cannot be made to do anything.
Result<ForcedUnmapping> unmap_by_force(HeldProcess& process, const FileIdentity& file,
                                       AccessGives gives, KernelFeatures& features);

}  // namespace shmvisor
