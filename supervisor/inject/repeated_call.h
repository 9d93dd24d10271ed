// RepeatedCall: a held caller makes its call once more, only so that it waits for us again and can
// be lent a descriptor.
//
// Errors: EMFILE where the caller's table is full; ENOMEM where it cannot be lent anything. ESRCH
// where the caller has died, or was stopped and continued so often that it could not be lent
// anything: it is then told to repeat its call. EACCES where it does not run what it should.
// Ownership: borrows what it is given. Thread rule: the thread that holds the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// What is done for a caller that waits in the notification `id`.
using WhileItWaits = std::function<void(std::uint64_t id)>;

class RepeatedCall {
 public:
  RepeatedCall(PendingCall& call, StoppedThread& thread, ExpectedCalls& expected)
      : call_(call), thread_(thread), expected_(expected) {}

  /// The number that it has there. `while_it_waits`: done before that, if it is given.
  Result<int> lend(const LentDescriptor& lent, const WhileItWaits& while_it_waits);

 private:
  /// Lends it in one repetition. ENOENT where the call was over before that.
  Result<int> lend_once(const LentDescriptor& lent, const WhileItWaits& while_it_waits);

  PendingCall& call_;
  StoppedThread& thread_;
  ExpectedCalls& expected_;
};

}  // namespace shmvisor
