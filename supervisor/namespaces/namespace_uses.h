// NamespaceUses: which IPC namespaces a process refers to: its threads live there, its descriptors
// are their files, or its mounts.
//
// Where a process's threads live is told by pidfds, which wait for nobody. Its descriptors and
// mounts, and its threads on kernels before Linux 6.11, are another matter: a process in the middle
// of an exec can keep whoever looks at them, for as long as it likes. So these are looked at in a
// thread that may be lost (LosableThreads). A process that keeps its thread is given up when that
// has waited for half a second, and is not looked at again so until the thread comes back; nor is
// one whose user may lose no more threads.
//
// Ownership: a lost thread shares what it uses. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <set>

#include "emulation/shm/registries.h"

namespace shmvisor {

class NamespaceUses {
 public:
  using Ids = std::set<IpcNamespaceId>;
  enum class Where : std::uint8_t { kThreads, kFilesAndMounts };
  enum class Outcome : std::uint8_t {
    kSeen,
    kNotSeen,   ///< it keeps whoever looks at it
    kShortage,  ///< of threads, descriptors or memory
  };

  /// `group`: of the processes that are looked at, see LosableThreads::Payer.
  explicit NamespaceUses(std::uintptr_t group);

  /// Takes out of `ids` those that the process refers to there; all where we may not look into it.
  /// The mounts that many processes see are read once.
  Outcome look_at(pid_t pid, Where where, Ids& ids);

 private:
  class Look;
  struct SeenMounts;

  const std::uintptr_t group_;
  const std::shared_ptr<SeenMounts> mounts_;
};

}  // namespace shmvisor
