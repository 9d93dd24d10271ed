// CallObserver: is called for each call that is answered, before and after the caller gets the
// answer.
//
// Ownership: a record borrows, and is valid until the observer returns. Thread rule: all serving
// threads call the observer at once. It must not wait.
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
  Caller& caller;  ///< for ids and names, only before the answer; may read /proc
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

  /// The caller still waits, so that /proc shows it.
  virtual void decided(const CallRecord& record) = 0;
  /// `delivered`: false where the caller was gone.
  virtual void answered(const CallRecord& record, bool delivered) = 0;
};

}  // namespace shmvisor
