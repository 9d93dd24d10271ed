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
// call again, which it finds if the server dies. Its slot says what was decided of it.
//
// Ownership: borrows the file. Thread rule: any thread, but for what is said of it.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
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
    bool refused = false;  ///< it was in service at too many deaths
  };

  /// Calls of a user that may be put aside, each in a slot of its own: an eighth of all.
  static constexpr std::size_t kMostWaitingOfUser = journal::kSlots / 8;

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
  /// Nothing was received into it.
  void give_back(journal::CallSlot& slot);
  /// A thread is busy with the call from now on, or puts it aside.
  void serve(std::uint64_t call) { set_flag(call, journal::CallSlot::kInService, true); }
  void put_aside(std::uint64_t call) { set_flag(call, journal::CallSlot::kInService, false); }
  /// The result is about to be delivered.
  void deliver(std::uint64_t call, std::int64_t result);
  /// It was delivered, or the caller is gone.
  void free(std::uint64_t call);
  /// The listener is closed.
  void forget(int listener);
  /// Where the call's injection is noted; null where it has no slot. Till it is freed.
  [[nodiscard]] journal::InjectionNote* note(std::uint64_t call);

  // Of callers that were held when a server died:

  /// Keeps the slot of a call whose notification is used up, if its injection says anything, or if
  /// it was in service at a death, till its caller makes it again. Before anything is received.
  [[nodiscard]] bool leave(std::uint64_t call);
  /// Of a call that was served before.
  struct Earlier {
    journal::InjectionNote* note = nullptr;  ///< in the slot of the call; null: it was not
    std::uint32_t deaths = 0;                ///< in a row, at which it was in service
  };
  /// For a call that was received: if it is one that was left, made again, its slot gets the note
  /// of that. `caller`: its ThreadIdentity::unique().
  [[nodiscard]] Earlier take_up(const seccomp_notif& call, std::uint64_t caller);
  struct Guarded {
    std::uint64_t call = 0;
    pid_t tid = 0;
  };
  /// Left slots whose notes have `flag`: kGuarded, the caller may be stopped.
  [[nodiscard]] std::vector<Guarded> left_with(std::uint32_t flag) const;
  /// Whether it is left still. If so `look` is called with its note, under the lock.
  bool look_at_left(std::uint64_t call, const std::function<void(journal::InjectionNote&)>& look);

  /// Taken ones.
  [[nodiscard]] std::size_t taken() const;

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
  [[nodiscard]] std::optional<std::uint16_t> left_by(std::uint32_t caller) const REQUIRES(mutex_);
  void enter(std::uint16_t slot) REQUIRES(mutex_);
  void unlink(std::uint16_t slot) REQUIRES(mutex_);
  void release(std::uint16_t slot) REQUIRES(mutex_);

  StateFile& file_;
  const std::span<journal::CallSlot> slots_;
  /// Whether calls may come that were served before.
  std::atomic<bool> may_come_again_{false};
  mutable Mutex mutex_;
  Condition released_;
  std::bitset<journal::kSlots> taken_ GUARDED_BY(mutex_);
  std::vector<std::uint16_t> left_ GUARDED_BY(mutex_);  ///< those that are left
  std::size_t first_free_ GUARDED_BY(mutex_) = 0;       ///< none below it is free
  /// Received ones by id: the first of each bucket, and the next one of each.
  std::array<std::uint16_t, kBuckets> first_ GUARDED_BY(mutex_);
  std::array<std::uint16_t, journal::kSlots> next_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
