// Tells the operator which limit or right denied a call what it asked for: at -v, a line for each
// call, within what one user may cause (LogLimiter).
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "emulation/ipc/denial.h"
#include "emulation/syscalls/shm_call.h"
#include "policy/base/result.h"

namespace shmvisor {

/// One clause. Precondition: denial.known().
std::string describe(const Denial& denial);

/// Who was denied what.
struct DeniedCall {
  pid_t tid = 0;
  uid_t user = 0;     ///< effective: who was judged
  uid_t account = 0;  ///< Caller::account()
  ShmOperation operation = ShmOperation::kShmget;
  Errno error{0};
};

void log_denial(const DeniedCall& call, const Denial& denial);

}  // namespace shmvisor
