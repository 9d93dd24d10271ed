// CleanupMode: what becomes of segments that their processes leave behind while a run goes on.
//
// Thread rule: constants.
#pragma once

#include <cstdint>

namespace shmvisor {

enum class CleanupMode : std::uint8_t {
  kKeep,        ///< as natively
  kRmidForced,  ///< kernel.shm_rmid_forced is set, but not in IPC namespaces that are made inside
  kOrphaned,    ///< unmapped ones are removed once creator and last user have ended: OrphanCleanup
};

}  // namespace shmvisor
