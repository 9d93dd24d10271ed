// ChangeObserver: told of each change of one registry, so that it can be known elsewhere: what has
// been committed outlives this process.
//
// Without one, which is so nearly always, a change costs a look at a null pointer.
//
// Thread rule: the registry's lock is held exclusively. Nothing here waits for a process.
#pragma once

#include <cstdint>
#include <memory>

#include "emulation/ipc/id_table.h"
#include "emulation/shm/segment.h"

namespace shmvisor {

class RegistryState;

/// Its end is the end of the registry.
class ChangeObserver {
 public:
  ChangeObserver() = default;
  ChangeObserver(const ChangeObserver&) = delete;
  ChangeObserver& operator=(const ChangeObserver&) = delete;
  virtual ~ChangeObserver() = default;

  /// What there is already.
  virtual void begin(const RegistryState& state, bool rmid_forced) = 0;
  /// The segment is to be inserted: all that needs memory. May throw std::bad_alloc.
  virtual void prepare(const Segment& segment) = 0;
  // Parts of a change:
  virtual void inserted(const RegistryState& state, const FreeId& id,
                        Segment& segment) noexcept = 0;
  virtual void changed(const RegistryState& state, const Segment& segment) noexcept = 0;
  virtual void erased(Segment& segment) noexcept = 0;
  /// A limit, kernel.shm_next_id or shm_rmid_forced.
  virtual void set(const RegistryState& state, bool rmid_forced) noexcept = 0;
  /// What came since the last time was one change; it is known as a whole, or not at all.
  virtual void commit() noexcept = 0;
};

/// Makes those of the registries of all namespaces.
class ChangeObservers {
 public:
  ChangeObservers() = default;
  ChangeObservers(const ChangeObservers&) = delete;
  ChangeObservers& operator=(const ChangeObservers&) = delete;
  virtual ~ChangeObservers() = default;

  /// `session`: Session::number(); `ipc_namespace`: IpcNamespaceId.
  [[nodiscard]] virtual std::unique_ptr<ChangeObserver> of(std::uint32_t session,
                                                           std::uint64_t ipc_namespace) = 0;
};

}  // namespace shmvisor
