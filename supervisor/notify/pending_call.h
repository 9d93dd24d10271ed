// PendingCall: one received notification, answered exactly once.
//
// A call is answered through its notification. An attach or detach uses up the notification and
// holds the caller in a ptrace-stop; from then on an AnswerRoute sets the result there. The code
// that answers need not know which. A PendingCall that is destroyed unanswered answers ENOSYS, so
// that no caller waits for ever.
//
// Ownership: borrows the listener; shares an AnswerRoute with the code that holds the caller.
// Thread rule: the thread that received it.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "emulation/syscalls/shm_call.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

/// Another way of the answer to the caller, for when the notification was used up, say.
class AnswerRoute {
 public:
  AnswerRoute() = default;
  AnswerRoute(const AnswerRoute&) = delete;
  AnswerRoute& operator=(const AnswerRoute&) = delete;
  virtual ~AnswerRoute() = default;
  /// False if the caller has died.
  virtual bool deliver(std::int64_t result) = 0;
  /// Whether the route holds the caller until deliver(). Otherwise the caller still waits in its
  /// notification.
  [[nodiscard]] virtual bool holds_caller() const { return true; }
};

class PendingCall {
 public:
  PendingCall(Listener& listener, const seccomp_notif& notif) : listener_(listener), notif_(notif) {
    if (listener_.slots() != nullptr) listener_.slots()->serve(notif_.id);
  }
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;
  ~PendingCall();

  [[nodiscard]] std::uint64_t id() const { return notif_.id; }
  /// The calling thread, in the supervisor's pid namespace.
  [[nodiscard]] pid_t tid() const { return static_cast<pid_t>(notif_.pid); }
  [[nodiscard]] RawCall raw() const;
  [[nodiscard]] const seccomp_data& data() const { return notif_.data; }
  [[nodiscard]] Listener& listener() { return listener_; }

  /// Whether tid() still means the caller. Always so while an AnswerRoute holds the caller.
  [[nodiscard]] bool alive() const {
    return (route_ != nullptr && route_->holds_caller()) || listener_.alive(notif_.id);
  }

  /// The notification was used up, or needs more than a result; from now on `route` delivers the
  /// answer.
  void reroute(std::shared_ptr<AnswerRoute> route) { route_ = std::move(route); }

  [[nodiscard]] const seccomp_notif& notification() const { return notif_; }

  /// Lets the kernel carry the call out, as if there were no filter. Precondition: not answered
  /// yet.
  void let_through();
  /// The call was handed to another thread, which answers it.
  void hand_over() {
    answered_ = true;
    if (listener_.slots() != nullptr) listener_.slots()->put_aside(notif_.id);
  }
  /// Says that the next change which this thread makes in a registry belongs to the call, and that
  /// `result` is the call's result.
  void announce(std::int64_t result) {
    if (listener_.slots() != nullptr) listener_.slots()->announce(notif_.id, result);
  }
  /// Makes the caller repeat its call. Precondition: not answered yet, and a signal is pending for
  /// the caller. A later answer() is not delivered.
  void let_come_again();
  [[nodiscard]] bool comes_again() const { return comes_again_; }
  /// True when the caller got the result. Precondition: not answered yet.
  bool answer(std::int64_t result);
  [[nodiscard]] bool answered() const { return answered_; }

 private:
  Listener& listener_;
  const seccomp_notif notif_;
  std::shared_ptr<AnswerRoute> route_;
  bool answered_ = false;
  bool comes_again_ = false;
};

}  // namespace shmvisor
