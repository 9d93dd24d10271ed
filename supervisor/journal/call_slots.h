// CallSlots: the calls that were received and are not answered yet, where the next server finds
// them: the kernel hands a notification out once.
//
// The kernel writes a notification into its slot itself (NOTIF_RECV), and a thread that is killed
// returns from there first. So no notification is lost between the kernel and its slot. A slot is
// free again when its call was answered. What a call changes in a registry and the result that was
// decided for it become known by the same store (ChangeJournal): the next server gives that result,
// and does nothing twice.
//
// A caller that is held in a ptrace-stop has no notification any more, but the order to make its
// call again, which it finds if the server dies. So before its call changes anything it is marked:
// the last argument of the call, which none of ours has, becomes the id of its notification. It
// has its own again by the same step that gives it its result. A call that comes again with the
// mark is therefore one that has not had its result, and its slot says what was decided of it; one
// that comes without it is a new one. Only the thread itself can tell of the two moments.
//
// A call that was in service when a server crashed, and that its caller makes again with the mark
// or without, has a slot of its own then, which takes over how many deaths it has seen.
//
// Ownership: borrows the file. Thread rule: any thread, but for what is said of it.
#pragma once

#include <linux/seccomp.h>

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/journal/change_record.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/journal/state_file.h"

namespace shmvisor {

class CallSlots {
 public:
  /// A call that was in service at so many deaths in a row is refused.
  static constexpr std::uint32_t kMostDeaths = 2;

  /// What a server that died left.
  struct Left {
    seccomp_notif notification{};
    int listener = -1;  ///< its descriptor
    std::optional<std::int64_t> decided;
    bool refused = false;      ///< it was in service at too many deaths
    bool marked = false;       ///< its caller is not held any more, and may make its call again
    std::uint32_t deaths = 0;  ///< of servers in a row that had it in service
  };

  /// Calls of a user that may be put aside, each in a slot of its own: an eighth of all.
  static constexpr std::size_t kMostWaitingOfUser = journal::kSlots / 8;
  /// Which no call that is put aside takes.
  static constexpr std::size_t kForService = journal::kSlots / 8;

  /// Takes over what is there. `decisions`: RecoveredState's.
  CallSlots(StateFile& file, const std::vector<journal::CallDecision>& decisions);
  CallSlots(const CallSlots&) = delete;
  CallSlots& operator=(const CallSlots&) = delete;

  /// Calls that were received and not answered, for a new server to go on with before it receives.
  /// One that was in service at kMostDeaths deaths has -ENOMEM as its result, which each call may
  /// have. They stay until they are answered (left_calls.h).
  [[nodiscard]] std::vector<Left> take_left();
  /// None of the calls in service is to blame for the last death. Before take_left().
  void acquit();

  // Of the listener and of calls:

  /// A slot to receive into, its notification zero. Waits where all are taken; null where that
  /// takes longer than `bound`.
  [[nodiscard]] journal::CallSlot* take(int listener, std::chrono::milliseconds bound);
  /// What the kernel wrote there is a call.
  void received(journal::CallSlot& slot);
  /// The call that was received there is about to be served. Where the server is about to be
  /// replaced this does not return: the call is the next one's.
  void begin_unless_paused(journal::CallSlot& slot);
  /// Nothing was received into it.
  void give_back(journal::CallSlot& slot);
  /// A thread is busy with the call from now on, or puts it aside.
  void serve(std::uint64_t call) { set_flag(call, journal::CallSlot::kInService, true); }
  void put_aside(std::uint64_t call) {
    set_flag(call, journal::CallSlot::kInService | journal::CallSlot::kBegun, false);
  }
  /// The result is about to be delivered.
  void deliver(std::uint64_t call, std::int64_t result);
  /// It was delivered, or the caller is gone.
  void free(std::uint64_t call);
  /// The listener is closed.
  void forget(int listener);
  /// Its caller, which is held, is about to be marked: with what. Nothing where it has no slot.
  [[nodiscard]] std::optional<std::uint64_t> mark(std::uint64_t call);
  /// A call that is left, and whose caller may make it again, keeps its slot, by which it is known
  /// then.
  void await_again(std::uint64_t call);
  /// That of those which `notif` is again, a call of the listener; `marked` where it bears the
  /// mark. Without it, it may be another call that is the same, and the deaths alone are to count.
  [[nodiscard]] std::optional<Left> first_of(const seccomp_notif& notif, int listener) const;
  /// `again` is the call `first`, whose deaths it takes over. That one's slot is free then.
  void go_on_as(std::uint64_t first, std::uint64_t again);
  /// Taken ones.
  [[nodiscard]] std::size_t taken() const;
  /// How many more may be put aside: all listeners share the slots, and calls in service are to
  /// find some.
  [[nodiscard]] std::size_t room_to_wait() const;

  // Of the change that a call makes, in the thread that serves it:

  /// The next change that this thread applies is the call's, which has `result`.
  void announce(std::uint64_t call, std::int64_t result);
  /// What this thread has announced, once.
  [[nodiscard]] static std::optional<journal::CallDecision> take_decision();
  /// The change of the call counts.
  static void decided(StateFile& file, const journal::CallDecision& decision);

 private:
  static constexpr std::size_t kBuckets = journal::kSlots;
  static constexpr std::uint16_t kEnd = 0xffff;

  [[nodiscard]] static std::size_t bucket_of(std::uint64_t call) { return call % kBuckets; }
  [[nodiscard]] std::uint16_t find(std::uint64_t call) const REQUIRES(mutex_);
  [[nodiscard]] std::uint16_t number_of(const journal::CallSlot& slot) const;
  void set_flag(std::uint64_t call, std::uint32_t flag, bool on);
  void enter(std::uint16_t slot) REQUIRES(mutex_);
  void leave(std::uint16_t slot) REQUIRES(mutex_);
  void release(std::uint16_t slot) REQUIRES(mutex_);
  [[nodiscard]] Left left_in(std::size_t slot) const;

  StateFile& file_;
  const std::span<journal::CallSlot> slots_;
  mutable Mutex mutex_;
  Condition released_;
  std::bitset<journal::kSlots> taken_ GUARDED_BY(mutex_);
  std::size_t first_free_ GUARDED_BY(mutex_) = 0;  ///< none below it is free
  /// Slots of calls that may come again, by the caller's thread: each call looks there.
  std::unordered_multimap<std::uint32_t, std::uint16_t> awaited_ GUARDED_BY(mutex_);
  std::atomic<std::size_t> awaited_count_{0};
  /// Received ones by id: the first of each bucket, and the next one of each.
  std::array<std::uint16_t, kBuckets> first_ GUARDED_BY(mutex_);
  std::array<std::uint16_t, journal::kSlots> next_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
