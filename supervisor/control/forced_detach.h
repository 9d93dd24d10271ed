// detach_by_force: takes a segment out of processes that did not ask for it, one after the other.
//
// Each process is looked at first, and held only where it maps the segment. That is done in a
// thread which may be lost, since a process can keep whoever looks at it: it is given up after
// kMostForOne, and another thread goes on with the next process. Nothing more is changed of a
// process that was given up, and as long as it keeps that thread no other one goes to it, nor to
// processes of a user who keeps several. A thread that abandoned a tracee ends, so that the kernel
// lets the tracee go.
//
// Thread rule: any thread but a main loop; waits for kMostTime at most, and no lock may be held.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "emulation/ipc/viewpoint.h"
#include "emulation/memmap/file_identity.h"
#include "supervisor/inject/forced_unmapping.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

struct DetachedProcess {
  pid_t pid = 0;
  PidRecord record;
  ForcedUnmapping unmapped;
  std::string trouble;  ///< a clause; empty where nothing went wrong
};

inline constexpr std::chrono::seconds kMostForOne{4};
inline constexpr std::chrono::seconds kMostTime{20};

/// Those of `pids` that mapped the file, or could not be looked at. `group`: of all `pids`, a
/// number of its own; users of other groups are other users, each of which may keep so many
/// threads.
[[nodiscard]] std::vector<DetachedProcess> detach_by_force(std::vector<pid_t> pids,
                                                           const FileIdentity& file,
                                                           AccessGives gives,
                                                           const KernelFeatures& features,
                                                           std::uintptr_t group);

}  // namespace shmvisor
