// RepeatedCall: a held caller makes its call once more, only so that it waits for us again and can
// be lent a descriptor.
//
// The call is received by whichever thread receives, which hands it over (ExpectedCalls).
//
// Errors: EMFILE where the caller's table is full; ESRCH where it has died, or was stopped and
// continued so often that it could not be lent anything: it is then told to repeat its call.
// Ownership: borrows what it is given. Thread rule: the thread that holds the stop.
#pragma once

#include <cstdint>

#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

class RepeatedCall {
 public:
  RepeatedCall(PendingCall& call, PtraceStop& stop, ExpectedCalls& expected)
      : call_(call), stop_(stop), expected_(expected) {}

  /// The number that it has there.
  Result<int> lend(const LentDescriptor& lent);

 private:
  /// The id of the call; EAGAIN where it was over before anybody received it.
  Result<std::uint64_t> begin();
  Result<std::uint64_t> await();

  PendingCall& call_;
  PtraceStop& stop_;
  ExpectedCalls& expected_;
};

}  // namespace shmvisor
