// ChangeJournal: writes each change of each registry into the state file, so that the next server
// finds it.
//
// What a registry tells of one change is appended behind what counts, and counts as a whole by one
// store, while the registry's lock is held. When the journal has grown to several times what there
// is, the last record of each segment is copied into the other area, which becomes the current one
// by one store. So no registry but the one that changes is looked at.
//
// Stamps are no records: the last two of a segment have a place, and one store makes the later one
// count.
//
// Where the file is full, which takes a million segments, the state says that it is incomplete,
// and no server begins with it any more.
//
// Ownership: borrows the file. It outlives the registries and the segments that were in them.
// Thread rule: any thread. Lock order: the registry's lock, then the journal's, from the first part
// of a change till commit(), then those of SegmentFiles and the like. That of a segment's stamps
// may be taken with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "emulation/shm/change_observer.h"
#include "policy/base/mutex.h"
#include "supervisor/journal/change_record.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/journal/state_file.h"

namespace shmvisor {

class ChangeJournal : public ChangeObservers, public StampObserver {
 public:
  /// A checkpoint is not worth while for less.
  static constexpr std::uint64_t kLeastBytes = std::uint64_t{256} << 10;

  /// Goes on behind `state`, which was read from `file` and has not changed since.
  ChangeJournal(StateFile& file, const journal::RecoveredState& state,
                std::uint64_t least_bytes = kLeastBytes);

  /// Of a registry that the state has, or a new one.
  [[nodiscard]] std::unique_ptr<ChangeObserver> of(std::uint32_t session,
                                                   std::uint64_t ipc_namespace) override;
  /// The registries that nobody has asked for by of(), which the state had, are over, with their
  /// segments.
  void end_unobserved();
  void stamped(std::uint32_t place, const AttachStamps& stamps, bool was_opened) noexcept override;

  /// Checkpoints that replaced another.
  [[nodiscard]] std::uint64_t checkpoints() const { return file_.header().current.load(); }

 private:
  class RegistryJournal;

  struct Place {
    int id = -1;  ///< -1: no segment
    std::uint32_t stamp = 0;
    std::uint64_t offset_bytes = 0;
  };
  struct Known {
    journal::RegistryChange settings;
    std::vector<Place> places;  ///< by index
    bool observed = false;  ///< by a registry; another one may come to have its namespace's number
  };

  [[nodiscard]] Known& known(std::uint32_t registry) REQUIRES(mutex_) {
    return registries_.find(registry)->second;
  }
  /// Answers where it is.
  std::uint64_t append(journal::EncodedRecord record) noexcept REQUIRES(mutex_);
  /// What was appended counts from now on; with the decision that this thread has announced.
  void commit() noexcept REQUIRES(mutex_);
  void make_checkpoint() noexcept REQUIRES(mutex_);
  void plan_next_checkpoint(std::uint64_t checkpoint_bytes) REQUIRES(mutex_);
  void fail() noexcept REQUIRES(mutex_);
  /// May throw std::bad_alloc.
  [[nodiscard]] std::uint32_t take_stamp() REQUIRES(mutex_);
  void give_stamp_back(std::uint32_t stamp) noexcept REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t current() const { return file_.header().current.load() % 2; }

  StateFile& file_;
  const std::uint64_t least_bytes_;
  Mutex mutex_;
  std::map<std::uint32_t, Known> registries_ GUARDED_BY(mutex_);  ///< by number
  std::uint32_t next_registry_ GUARDED_BY(mutex_) = 0;
  std::uint64_t at_ GUARDED_BY(mutex_) = 0;  ///< in the current area
  std::uint64_t next_number_ GUARDED_BY(mutex_) = 0;
  std::uint64_t checkpoint_at_ GUARDED_BY(mutex_) = 0;  ///< when so much is written
  std::vector<std::uint32_t> free_stamps_ GUARDED_BY(mutex_);
  std::uint32_t next_stamp_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
