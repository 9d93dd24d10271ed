// CallRecorder: adds each answered call to a CallRing, while any client follows it.
//
// The name of the caller's command is read before the answer, when the caller cannot have gone
// (recent_name()).
//
// Ownership: borrows the ring. Thread rule: any thread; decided() and answered() of one call on the
// same thread.
#pragma once

#include <cstdint>

#include "supervisor/serve/call_observer.h"
#include "supervisor/serve/call_ring.h"

namespace shmvisor {

class CallRecorder final : public CallObserver {
 public:
  /// `ring`: null for none. `session`: the number that stands in the events.
  CallRecorder(CallRing* ring, std::uint32_t session) : ring_(ring), session_(session) {}

  [[nodiscard]] bool wants_times() const noexcept override {
    return ring_ != nullptr && ring_->wanted();
  }
  /// If memory runs out, the event has no name of a command.
  void decided(const CallRecord& record) noexcept override;
  void answered(const CallRecord& record, bool delivered) noexcept override;
  void refused(const RefusedCall& call) noexcept override;

 private:
  [[nodiscard]] CallEvent event_of(const RefusedCall& call) const;

  CallRing* const ring_;
  const std::uint32_t session_;
};

}  // namespace shmvisor
