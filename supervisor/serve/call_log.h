// CallLog: tells the operator of calls: at -v which limit or right denied a call what it asked for,
// at -vv every call. At -v one user causes so many lines and no more (LogLimiter).
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
