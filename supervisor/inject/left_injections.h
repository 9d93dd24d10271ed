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
// Ownership: borrows the slots. Thread rule: the main thread; the work is done in a thread aside.
#pragma once

#include <atomic>
#include <chrono>
#include <vector>

#include "supervisor/journal/call_slots.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class LeftInjections {
 public:
  explicit LeftInjections(CallSlots& slots) : slots_(slots) {}
  LeftInjections(const LeftInjections&) = delete;
  LeftInjections& operator=(const LeftInjections&) = delete;
  ~LeftInjections() { over_.store(true); }

  /// After CallSlots::leave() of all of them.
  void settle();
  /// Where no server follows: settles what is noted in `state`, for so long at most.
  static void settle_all(StateFile& state, std::chrono::milliseconds bound);
  /// False where it still waits: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound) {
    over_.store(true);
    return task_.wait_for_end(bound);
  }

 private:
  struct Left {
    CallSlots::Guarded slot;
    int looks = 0;
  };

  [[nodiscard]] std::vector<Left> list() const;
  void run(std::vector<Left> left, std::chrono::steady_clock::time_point deadline);
  /// Of the process of `left.front()`: settles them all, or none yet. What is settled leaves
  /// `left`.
  void settle_some(std::vector<Left>& left);
  /// Whether it need not be waited for: it is gone, or came back, or has gone on.
  bool is_over(Left& one);
  void give_back(const std::vector<CallSlots::Guarded>& stopped);
  [[nodiscard]] journal::InjectionNote* note_of(const CallSlots::Guarded& slot);

  CallSlots& slots_;
  bool is_served_ = true;
  std::atomic<bool> over_{false};
  BackgroundTask task_;
};

}  // namespace shmvisor
