// AuditBacklog: the records that wait to be written, in memory that a process shares with those who
// go on when it dies: the servers of a keeper, one after another. What one of them has added and
// not written the next one writes.
//
// A record is there, and is over, by one atomic store, so its process may die between any two
// stores. It is read back by the length of each of its parts; what does not fit is left.
//
// Ownership: mapped for ever, at the same address in each of these processes. Thread rule: one
// process at a time; its caller's lock.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_record.h"

namespace shmvisor {

class AuditBacklog {
 public:
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore

  /// Null where there is no memory.
  static AuditBacklog* create();

  struct Left {
    AuditRecord record;
    uid_t cause = 0;
  };
  /// What was added and is not over, the first one first.
  [[nodiscard]] std::vector<Left> left() const;

  /// Behind the others. False where there is no room.
  [[nodiscard]] bool add(const AuditRecord& record, uid_t cause);
  /// The first one is written, or lost.
  void first_is_over();

  /// The first one is about to be written, at mark().
  void begin_first();
  [[nodiscard]] AuditMark& mark() { return mark_; }
  /// The mark of a process that died; null where it had not come to write the first one.
  [[nodiscard]] const AuditMark* mark_of_first() const;

  /// All records that were lost, and those of them that were told.
  std::uint64_t lost = 0;
  std::uint64_t told = 0;

 private:
  /// Bytes that are used, from first to end; both are multiples of 8. Aligned, or clang takes it
  /// for no lock-free type.
  struct alignas(8) Used {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
  };
  struct Header {
    std::uint32_t bytes = 0;  ///< with this; 0: the next one is at the beginning
    uid_t cause = 0;
    std::uint64_t number = 0;
  };
  static constexpr std::size_t kBytes = std::size_t{2} << 20;
  static_assert(std::atomic<Used>::is_always_lock_free);

  [[nodiscard]] std::optional<Used> room_for(Used used, std::uint32_t bytes) const;
  [[nodiscard]] std::optional<Header> header_at(std::uint32_t& place) const;

  std::atomic<Used> used_;
  std::uint64_t numbers_ = 0;  ///< of the last record that was added; they begin at 1
  std::uint64_t marked_ = 0;   ///< the number of the record that mark_ is of
  AuditMark mark_;
  std::array<std::byte, kBytes> bytes_;  // zero, as new pages are, and taken when they are used
};

}  // namespace shmvisor
