// CallLog: logs calls for the operator: at -v each denied call, with the limit or right that denied
// it; at -vv every call. At -v the lines of each user are bounded (LogLimiter).
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "emulation/ipc/denial.h"
#include "supervisor/serve/call_observer.h"

namespace shmvisor {

/// The kernel's name of the call.
[[nodiscard]] const char* name_of(ShmOperation operation);
/// One word: "shmmax", "mode" and so on.
[[nodiscard]] const char* name_of(Denial::Reason reason);

/// One clause. Precondition: denial.known().
std::string describe(const Denial& denial);

class CallLog final : public CallObserver {
 public:
  void decided(const CallRecord& record) noexcept override;
  void answered(const CallRecord& record, bool delivered) noexcept override;
  /// The code that refuses logs, as a warning, which limit refused the call.
  void refused(const RefusedCall& call) noexcept override;
};

}  // namespace shmvisor
