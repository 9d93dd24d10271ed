// LeftInjections: callers that a server held when it died, and that have stopped since, by the
// SIGSTOP that guarded them (journal/injection_note.h): before they are back in their programs.
//
// Each gets back the registers with which it makes its own call again, and with that its signal
// mask; what the call that it was made to run has done is noted. One that has the result of its own
// call already keeps that. Then the process is continued, without the SIGCONT being seen by a
// handler. Its parent hears that it was stopped and continued.
//
// Callers that did not stop come back by themselves (CallSlots::take_up()).
//
// A process may keep whoever attaches to it: by an execve(2) that does not end, or frozen. So each
// process has a thread of its own, which may be lost, and none waits for another's.
//
// Ownership: borrows the slots. Thread rule: the main thread; the work is done in
// threads aside.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/journal/call_slots.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class LeftInjections {
 public:
  explicit LeftInjections(CallSlots& slots) : slots_(slots) {}
  LeftInjections(const LeftInjections&) = delete;
  LeftInjections& operator=(const LeftInjections&) = delete;
  /// Precondition: wait_for_end() has answered true, or settle() was never called.
  ~LeftInjections() = default;

  /// Before settle().
  void use(const KernelFeatures& features) { features_.emplace(features); }
  /// After CallSlots::leave() of all of them.
  void settle() { begin(); }
  /// Where no server follows: settles what is noted in `state`, for so long at most. The process is
  /// to end then.
  static void settle_all(StateFile& state, const KernelFeatures& features,
                         std::chrono::milliseconds bound);
  /// False where some are not settled, or a thread is lost: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  using Guarded = CallSlots::Guarded;
  struct Look {
    Guarded slot;
    std::optional<std::uint64_t> switches;  ///< to other threads, when it was first looked at
  };

  /// All of a process at once: a SIGCONT lets each of its threads go on.
  void begin();
  void settle_process(pid_t process, std::vector<Look> looks);
  /// Whether it need not be waited for: it is gone, or came back, or has gone on.
  bool is_over(Look& look);
  void give_back(pid_t process, const std::vector<Look>& stopped);
  void give_masks_back();
  [[nodiscard]] journal::InjectionNote* note_of(const Guarded& slot);

  /// In a thread of its own; where none can be had, in the next one that ends its work.
  void run_aside(std::function<void()> work);
  bool start_thread();
  void work() noexcept;
  bool wait_for_threads(std::chrono::steady_clock::time_point deadline);

  CallSlots& slots_;
  std::optional<KernelFeatures> features_;
  bool is_served_ = true;
  std::atomic<bool> over_{false};
  Mutex mutex_;
  Condition ended_;
  int threads_ GUARDED_BY(mutex_) = 0;
  std::deque<std::function<void()>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
