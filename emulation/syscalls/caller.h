// Caller: the thread that made a call, as far as answering it needs to know.
//
// Everything read from its memory may change between two looks; each call reads what it needs once.
// Thread rule: one thread; lives for one call.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "emulation/ipc/subject.h"
#include "emulation/ipc/viewpoint.h"
#include "emulation/memmap/mapping_space.h"
#include "emulation/shm/segment.h"
#include "policy/base/result.h"

namespace shmvisor {

class Caller {
 public:
  Caller() = default;
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  virtual ~Caller() = default;

  [[nodiscard]] virtual Subject& subject() = 0;
  [[nodiscard]] virtual Viewpoint& viewpoint() = 0;
  /// Its process (thread group), what shm_cpid and shm_lpid record.
  [[nodiscard]] virtual PidRecord process() = 0;
  /// The thread itself, what shm_creator records.
  [[nodiscard]] virtual CreatorThread thread() = 0;
  /// RLIMIT_MEMLOCK, soft; UINT64_MAX for none.
  [[nodiscard]] virtual std::uint64_t memlock_limit_bytes() = 0;
  [[nodiscard]] virtual MappingSpace& space() = 0;
  /// The user whom what the call makes the host keep is charged to.
  [[nodiscard]] virtual uid_t account() { return subject().uid(); }

  /// Said before a step that may take long, so that whoever serves can let other calls go ahead.
  virtual void long_step() {}

  /// Said before a step that takes as long as it does to let another thread receive: calls that
  /// wait already go ahead.
  virtual void short_step() {}

  /// Said before a lock is taken for a change: sees to it, if it can, that nothing but the caller's
  /// death keeps the answer from it. May wait for the caller, within a bound.
  virtual void secure() {}
  /// Said right before a change, under the lock, which it does not wait for the caller with:
  /// whether the caller is still there to have `value` as its answer. A caller that secure() could
  /// not get hold of is answered at once, and runs on; it alone does so before the change.
  [[nodiscard]] virtual bool confirm([[maybe_unused]] std::int64_t value) { return true; }

  /// EFAULT where not all bytes can be read; what was read is then not to be used. ENOMEM where it
  /// cannot be told.
  [[nodiscard]] virtual Result<void> copy_from_user(std::uint64_t address,
                                                    std::span<std::byte> bytes) = 0;
  /// EFAULT where not all bytes can be written; some may have been, as in the kernel. ENOMEM as
  /// above.
  [[nodiscard]] virtual Result<void> copy_to_user(std::uint64_t address,
                                                  std::span<const std::byte> bytes) = 0;

  /// Asked before a look at its memory map, which may wait for it, as a copy does: its process as
  /// the host numbers it, of which a thread waits in this call. 0 where that cannot be told.
  [[nodiscard]] virtual pid_t waiting_process() { return 0; }
};

}  // namespace shmvisor
