// KeptTable: entries in memory that a keeper and its servers share. Each is there, and is over, by
// one store of its `state`, whose 0 means that it is free.
//
// Ownership: lies in an object of make_shared_object(). Thread rule: the main thread of one server
// at a time; the keeper while there is none. What another thread may use of an entry is atomic.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace shmvisor {

/// When a free entry is taken again. kLate: not before all have been made, for somebody may be
/// about to note something in it still. kSoon: a table of large entries stays small.
enum class TakenAgain : std::uint8_t { kLate, kSoon };

template <typename Entry, std::size_t kEntries, TakenAgain kAgain = TakenAgain::kLate>
class KeptTable {
 public:
  static constexpr std::size_t kMost = kEntries;

  /// A new one that is free; null where there are kMost. It is taken by its state.
  [[nodiscard]] Entry* make() {
    const std::size_t end = end_.load();
    if (kAgain == TakenAgain::kSoon || end == kMost) {
      const std::size_t most_tries = end == kMost ? end : std::min(end, kTriesOfSoon);
      for (std::size_t tries = 0; tries < most_tries; ++tries) {
        Entry* const next = at(next_++ % end);
        if (next->state.load() == 0) return new (next) Entry;
      }
    }
    if (end == kMost) return nullptr;
    Entry* const made = new (at(end)) Entry;
    end_.store(end + 1);
    return made;
  }

  /// Those that are not free.
  template <typename Each>
  void for_each(Each each) {
    for (std::size_t number = 0; number < end_.load(); ++number) {
      if (at(number)->state.load() != 0) each(*at(number));
    }
  }

  [[nodiscard]] std::uint32_t number_of(const Entry& entry) {
    return static_cast<std::uint32_t>(&entry - at(0));
  }
  /// Null where none that is not free has this number.
  [[nodiscard]] Entry* find(std::uint32_t number) {
    if (number >= end_.load() || at(number)->state.load() == 0) return nullptr;
    return at(number);
  }

 private:
  /// Of entries that may all be taken.
  static constexpr std::size_t kTriesOfSoon = 64;

  [[nodiscard]] Entry* at(std::size_t number) {
    return reinterpret_cast<Entry*>(room_.data()) + number;
  }

  std::atomic<std::size_t> end_{0};  ///< none has been made from here on
  /// Which one is looked at next. With kLate one that was just given up comes last.
  std::atomic<std::size_t> next_{0};
  /// Untouched until they are made: new pages cost nothing.
  alignas(Entry) std::array<std::byte, kMost * sizeof(Entry)> room_;
};

}  // namespace shmvisor
