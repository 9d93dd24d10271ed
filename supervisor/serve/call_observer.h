// CallObserver: is told of each call that is answered, before and after its caller is.
//
// Ownership: a record borrows; it is good until the observer returns. Thread rule: the observer is
// called from all serving threads at once. It waits for nobody.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "emulation/ipc/denial.h"
#include "emulation/syscalls/caller.h"
#include "emulation/syscalls/shm_call.h"
#include "policy/base/result.h"

namespace shmvisor {

struct CallRecord {
  pid_t tid = 0;
  Caller& caller;  ///< good for ids and names until the answer; each may have to be read first
  const RawCall& raw;
  const Result<ShmCall>& call;
  std::int64_t value = 0;  ///< the answer; of a call whose caller completes it, 0
  const Denial& denial;
  bool completed_by_caller = false;
};

class CallObserver {
 public:
  CallObserver() = default;
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  virtual ~CallObserver() = default;

  /// The caller still waits, so that /proc tells of it.
  virtual void decided(const CallRecord& record) = 0;
  /// `delivered`: false where the caller was gone.
  virtual void answered(const CallRecord& record, bool delivered) = 0;
};

}  // namespace shmvisor
