// CallObservers: all observers of the calls of one listener, as one observer.
//
// Ownership: borrows ring and tally. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/serve/call_audit.h"
#include "supervisor/serve/call_log.h"
#include "supervisor/serve/call_recorder.h"
#include "supervisor/serve/call_tally.h"

namespace shmvisor {

class CallObservers final : public CallObserver {
 public:
  /// `ring`, `tally`: null for none. `session`: the number by which both know the calls.
  /// `containers`: see CallAudit.
  CallObservers(CallRing* ring, CallTally* tally, std::uint32_t session,
                const std::vector<std::string>& containers = {})
      : audit_(containers), recorder_(ring, session), tally_(tally), session_(session) {}

  [[nodiscard]] bool wants_times() const noexcept override {
    return recorder_.wants_times() || counts();
  }
  void decided(const CallRecord& record) noexcept override {
    log_.decided(record);
    audit_.decided(record);
    recorder_.decided(record);
    if (counts()) tally_->note_maker(record, session_);
  }
  void answered(const CallRecord& record, bool delivered) noexcept override {
    log_.answered(record, delivered);
    recorder_.answered(record, delivered);
    if (counts()) tally_->count(record, session_);
  }
  void refused(const RefusedCall& call) noexcept override {
    log_.refused(call);
    audit_.refused(call);
    recorder_.refused(call);
    if (counts()) tally_->count(call, session_);
  }

 private:
  [[nodiscard]] bool counts() const noexcept { return tally_ != nullptr && tally_->counting(); }

  CallLog log_;
  CallAudit audit_;
  CallRecorder recorder_;
  CallTally* const tally_;
  const std::uint32_t session_;
};

}  // namespace shmvisor
