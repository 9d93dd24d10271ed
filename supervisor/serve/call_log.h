// CallLog: logs calls for the operator: at -v each denied call, with the limit or right that denied
// it; at -vv every call. At -v the lines of each user are bounded (LogLimiter).
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "emulation/ipc/denial.h"
#include "supervisor/serve/call_observer.h"

namespace shmvisor {

/// One clause. Precondition: denial.known().
std::string describe(const Denial& denial);

class CallLog final : public CallObserver {
 public:
  void decided(const CallRecord& record) override;
  void answered(const CallRecord& record, bool delivered) override;
};

}  // namespace shmvisor
