// What is where in the file of the state: a header, call slots, stamps, and two areas of records.
// README.md describes it. All of it is zero in a new file, and a place that is zero is free.
//
// Whoever writes may die between any two stores. So each thing here becomes true by one store,
// which comes last; who looks at what a dead process left sees the thing as a whole or not at all.
//
// Thread rule: as said beside each.
#pragma once

#include <linux/seccomp.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shmvisor::journal {

// Processes share these: they must need no lock.
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint32_t kSlots = 4096;
inline constexpr std::uint32_t kStamps = 1U << 20;
/// No place among the stamps, or no slot.
inline constexpr std::uint32_t kNone = ~std::uint32_t{0};

/// A checkpoint, then changes.
struct AreaHeader {
  /// Bytes that count, from the area's beginning on. What lies behind them is torn, or nothing.
  std::atomic<std::uint64_t> committed;
  std::uint64_t checkpoint_bytes;  ///< of them; they were written as a whole
  std::uint64_t first_number;      ///< of the first record
};
static_assert(sizeof(AreaHeader) == 24);

struct StateHeader {
  static constexpr std::uint64_t kMagic = 0x45544154534d4853;  // "SHMSTATE"
  static constexpr std::uint32_t kByteOrder = 0x01020304;

  std::uint64_t magic;  ///< written last
  std::uint32_t version;
  std::uint32_t byte_order;
  std::uint64_t file_bytes;
  std::uint64_t slots_at;
  std::uint64_t stamps_at;
  std::uint64_t areas_at;
  std::uint64_t area_bytes;
  std::uint32_t slot_bytes;
  std::uint32_t slots;
  std::uint32_t stamp_bytes;
  std::uint32_t stamps;
  /// How many checkpoints replaced another. The area with this number, modulo 2, is the current
  /// one: a checkpoint becomes current by this store.
  std::atomic<std::uint64_t> current;
  /// Not 0: a change could not be written, so what is here is not the state.
  std::atomic<std::uint32_t> incomplete;
  /// Not 0: the server is about to be replaced, and begins to serve no further call.
  std::atomic<std::uint32_t> paused;
  std::array<AreaHeader, 2> areas;
};
static_assert(sizeof(StateHeader) == 136);

/// What attaches and detaches leave at a segment. They are not records, for there may be many a
/// second; the last one counts.
struct Stamp {
  static constexpr std::size_t kMostInner = 4;
  static constexpr std::uint32_t kOpened = 1;

  /// Of two stamps the higher number is the last one. 0: being written, or nothing. Stored last.
  std::atomic<std::uint64_t> number;
  std::int64_t atime;
  std::int64_t dtime;
  std::int32_t lpid;
  std::uint16_t inner;  ///< levels below our pid namespace; deeper ones are lost
  std::uint16_t flags;
  std::array<std::uint64_t, kMostInner> inner_namespace;
  std::array<std::int32_t, kMostInner> inner_pid;
};
static_assert(sizeof(Stamp) == 80);

/// The last stamp and the one before, which the next one takes the place of.
using StampPair = std::array<Stamp, 2>;

struct CallSlot {
  enum State : std::uint32_t {
    kFree = 0,
    /// For NOTIF_RECV: where the notification has an id there, it was received.
    kReceiving = 1,
    kReceived = 2,
    /// The result is decided, and is being delivered.
    kDecided = 3,
  };
  static constexpr std::uint32_t kInService = 1;  ///< a thread is busy with it, it does not wait
  static constexpr std::uint32_t kMarked = 2;     ///< its caller bears a mark: see CallSlots
  /// It was received, and no pause hindered it; kInService is what comes next.
  static constexpr std::uint32_t kBegun = 4;

  std::atomic<std::uint32_t> state;
  std::atomic<std::uint32_t> flags;
  std::atomic<std::int64_t> result;
  std::int32_t listener;  ///< its descriptor
  std::uint32_t deaths;   ///< of servers in a row that had it in service
  union {
    seccomp_notif notification;
    std::array<std::byte, 256> room;  ///< for what a newer kernel adds
  };
};
static_assert(sizeof(CallSlot) == 280);

}  // namespace shmvisor::journal
