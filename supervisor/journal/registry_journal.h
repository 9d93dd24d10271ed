// RegistryJournal: what one registry tells, as records of the journal.
//
// Thread rule: as ChangeObserver; the end of it in any thread.
#pragma once

#include <cstdint>

#include "emulation/shm/registry_state.h"
#include "supervisor/journal/change_journal.h"

namespace shmvisor {

class ChangeJournal::RegistryJournal : public ChangeObserver {
 public:
  RegistryJournal(ChangeJournal& journal, std::uint32_t number)
      : journal_(journal), number_(number) {}
  ~RegistryJournal() override;

  void begin(const RegistryState& state, bool rmid_forced) override;
  void prepare(const Segment& segment) override;
  void inserted(const RegistryState& state, const FreeId& id, Segment& segment) noexcept override;
  void changed(const RegistryState& state, const Segment& segment) noexcept override;
  void erased(Segment& segment) noexcept override;
  void set(const RegistryState& state, bool rmid_forced) noexcept override;
  void commit() noexcept override;

 private:
  /// The journal's lock, from the first part of a change till the end of the change.
  void hold() noexcept;
  void begin_held(const RegistryState& state, bool rmid_forced);
  void prepare_held(int index);
  void insert_held(const RegistryState& state, const FreeId& id, Segment& segment) noexcept;
  void set_held(const RegistryState& state, bool rmid_forced) noexcept;
  void write(Place& place, const RegistryState& state, const Segment& segment, bool is_made,
             bool moves_cycle) noexcept;

  ChangeJournal& journal_;
  const std::uint32_t number_;
  std::uint32_t prepared_stamp_ = 0;
  bool has_prepared_stamp_ = false;
  bool holds_ = false;
};

}  // namespace shmvisor
