// CallRecorder: adds each answered call to a CallRing, while anybody follows it.
//
// The name of the caller's command is asked for before the answer, when the caller cannot have gone
// (recent_name()).
//
// Ownership: borrows the ring. Thread rule: any thread; decided() and answered() of a call by the
// same one.
#pragma once

#include <cstdint>

#include "supervisor/serve/call_observer.h"
#include "supervisor/serve/call_ring.h"

namespace shmvisor {

class CallRecorder final : public CallObserver {
 public:
  /// `ring`: null for none. `session`: the number that its events bear.
  CallRecorder(CallRing* ring, std::uint32_t session) : ring_(ring), session_(session) {}

  [[nodiscard]] bool wants_times() const noexcept override {
    return ring_ != nullptr && ring_->wanted();
  }
  /// Where memory runs out the call's command has no name.
  void decided(const CallRecord& record) noexcept override;
  void answered(const CallRecord& record, bool delivered) noexcept override;
  void refused(const RefusedCall& call) noexcept override;

 private:
  [[nodiscard]] CallEvent event_of(const RefusedCall& call) const;

  CallRing* const ring_;
  const std::uint32_t session_;
};

}  // namespace shmvisor
