// CallerHold: takes a caller out of its notification and holds it in a ptrace-stop, in which its
// call is answered from then on (HeldCaller).
//
// The notification is answered with the order to make the call again, which the caller finds only
// if we die. How a caller is lent a descriptor: see LendingOrder.
//
// Where the filter lacks WAIT_KILLABLE_RECV, or may lack it (Listener::wait_kind), asking the
// caller to stop ends its notification, and no answer through a notification is sure to arrive. So
// there the stop comes first: a caller that is found on its way out of this very call, with the
// kernel's order to repeat it for a result, is held and given its result instead. It gets a
// descriptor by making the call once more, which a serving thread receives and hands over
// (RepeatedCall). A caller that is found elsewhere is let go untouched: its call comes again, or
// its handler runs. So is a caller that is stopped and continued so often that it cannot be handed
// the descriptor.
//
// Errors: EACCES where the caller cannot be traced. ESRCH where it died or is no longer in the
// call. EAGAIN where it does not stop; ENOMEM where we lack the means. Ownership: borrows what it
// is given; shares the held caller with the call. Thread rule: the thread that received the call.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "policy/base/result.h"
#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/held_caller.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/repeated_call.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/scope/access_warnings.h"

namespace shmvisor {

/// When a caller that waits killably gets a descriptor.
enum class LendingOrder : std::uint8_t {
  /// While it waits in its notification. Should we be killed before it runs code that closes the
  /// descriptor, it keeps that.
  kLendFirst,
  /// In a repetition of its call (RepeatedCall), 40 us later: so that it keeps nothing, but is
  /// killed with us from then on. For a caller that is to run calls step by step, which dies with
  /// us anyway.
  kHoldFirst,
};

class CallerHold {
 public:
  CallerHold(PendingCall& call, ExpectedCalls& expected, AccessWarnings& access_warnings,
             const TracerWait& tracer_wait)
      : call_(call),
        expected_(expected),
        access_warnings_(access_warnings),
        tracer_wait_(tracer_wait) {}

  [[nodiscard]] PendingCall& call() const { return call_; }
  [[nodiscard]] ExpectedCalls& expected() const { return expected_; }
  [[nodiscard]] bool held() const { return caller_ != nullptr; }
  /// Precondition: held().
  [[nodiscard]] StoppedThread& thread() const { return caller_->thread(); }

  /// Holds the caller, if it is not held already.
  Result<void> hold();
  /// The same, and lends the caller a descriptor, whose number there is returned. EMFILE where the
  /// caller's table is full: it is held all the same. `while_it_waits`: called with the id of a
  /// notification in which the caller waits killably, attached to, so that it may be given more.
  Result<int> hold_and_lend(const LentDescriptor& lent, LendingOrder order,
                            const WhileItWaits& while_it_waits);

  /// For a call that is to change something: makes sure, by taking the caller over, that no signal
  /// keeps its answer from it. Does nothing where that is sure anyway, and where the caller cannot
  /// be traced or does not stop in time. Where calls are noted the caller is marked (CallSlots).
  void secure_answer();
  [[nodiscard]] bool answer_is_secure() const { return held() || waits_killably(); }
  /// Whether the caller was to be held, and may not be traced.
  [[nodiscard]] bool is_out_of_reach() const { return is_out_of_reach_; }
  /// Whether nothing but its death ends the caller's wait for an answer.
  [[nodiscard]] bool waits_killably() const {
    return call_.listener().wait_kind() == WaitKind::kKillable;
  }

 private:
  /// Attaches to the caller, however often that takes (attach_to_caller.h), and asks it to stop.
  Result<AttachedThread> attach_and_interrupt();
  /// Holds a caller that waits killably. `while_it_waits`: see hold_and_lend().
  Result<void> take_from_notification(const WhileItWaits& while_it_waits);
  /// Holds a caller without trusting its notification.
  Result<void> take_over();
  void observe_wait();
  /// Answers the notification so that the caller gets out of it, into our stop. Only where that
  /// succeeds is the thread that we attached to the caller: its tid may have gone to a thread that
  /// execs.
  bool send_out_of_notification();
  /// Waits until the caller stops. Where that takes its time another thread receives meanwhile.
  Result<StoppedThread> stopped(AttachedThread attached);
  /// The next server is to know the call, should it come again.
  void mark();
  /// From now on the call is answered through the stopped caller.
  void keep(StoppedThread thread);
  /// Says why, where the caller is out of reach.
  Errno reported(Errno error);

  PendingCall& call_;
  ExpectedCalls& expected_;
  AccessWarnings& access_warnings_;
  /// For somebody else's tracer. Nobody is waited for while an answer is being secured, since other
  /// calls wait for that.
  TracerWait tracer_wait_;
  std::optional<CpuPin> pin_;
  std::shared_ptr<HeldCaller> caller_;
  /// A caller that is not held then got away, and its tid says nothing any more.
  bool notification_used_up_ = false;
  bool is_out_of_reach_ = false;
};

}  // namespace shmvisor
