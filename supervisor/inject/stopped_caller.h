// StoppedCaller: a caller that a server held when it died, and that has stopped since, while it is
// given back what it had: see LeftInjections.
//
// Ownership: borrows the note. Thread rule: all members on the thread that attached. One that does
// not stop is abandoned (Tracee::abandon()).
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/tracee.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/journal/call_slots.h"
#include "supervisor/journal/injection_note.h"

namespace shmvisor {

class StoppedCaller {
 public:
  /// What it blocks while it takes the SIGCONT by which its process goes on.
  static constexpr std::uint64_t kAllButContinue = kAllSignals & ~bit_of(SIGCONT);
  /// The kernel takes these out of each mask.
  static constexpr std::uint64_t kUnblockable = bit_of(SIGKILL) | bit_of(SIGSTOP);

  /// With the rights of whoever may trace it, and with a bound.
  static Result<Tracee> seize(pid_t tid);

  /// `is_served`: somebody will serve the call that it makes again.
  StoppedCaller(Tracee tracee, journal::InjectionNote& note, std::uint64_t call, bool is_served)
      : tracee_(std::move(tracee)), note_(note), call_(call), is_served_(is_served) {}

  [[nodiscard]] std::uint64_t call() const { return call_; }
  /// It has the result of its call, or goes on by itself.
  [[nodiscard]] bool keeps_result() const { return keeps_result_; }

  enum class Found : std::uint8_t {
    kHeld,
    kElsewhere,  ///< another thread, or it has gone on since: it was let go as it was
    kGone,
    kLater,  ///< it cannot be told, or it does not stop
  };
  /// Gives it the registers of its own call, to be made again, where it is to make that.
  Found restore(CallSlots& slots);
  /// All threads of its process go on once they are let go.
  void take_continue();
  /// Lets it go as it is, stopped.
  void detach_stopped();
  /// With its signal mask.
  void let_go();

 private:
  [[nodiscard]] pid_t tid() const { return tracee_.tid(); }

  Tracee tracee_;
  journal::InjectionNote& note_;
  const std::uint64_t call_;
  const bool is_served_;
  std::uint64_t mask_ = 0;
  bool has_waited_ = false;
  bool keeps_result_ = false;
};

/// Whether the thread is the one with that ThreadIdentity::unique(). Nothing where it cannot be
/// told.
std::optional<bool> is_thread(pid_t tid, std::uint64_t unique);

}  // namespace shmvisor
