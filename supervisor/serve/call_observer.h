// CallObserver: is called for each call that is answered, before and after the caller gets the
// answer.
//
// An observer cannot change an answer: the registry may be changed already when it is asked, and
// the caller must learn of that. So it throws nothing. Where memory runs out the observer loses
// what it would have noted, and counts the loss.
//
// Ownership: a record borrows, and is valid until the observer returns. Thread rule: all serving
// threads call the observer at once. It must not wait.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "emulation/ipc/denial.h"
#include "emulation/shm/registry.h"
#include "emulation/syscalls/caller.h"
#include "emulation/syscalls/shm_call.h"
#include "emulation/syscalls/shmctl_contents.h"
#include "policy/base/result.h"

namespace shmvisor {

/// Where a call comes from and goes to, as far as it was known before it was decided.
struct CallOrigin {
  pid_t pid = 0;
  pid_t tid = 0;
  uid_t euid = 0;
  /// The user who is accountable for the call (accountable_user.h). The effective user would not
  /// do: a setuid program or a user namespace gives one user many of those. -1: not known.
  uid_t account = static_cast<uid_t>(-1);
  std::uint64_t ipc_namespace = 0;  ///< OwnedRegistry::ipc_namespace
  /// When a thread of ours began with the call; set if CallObserver::wants_times().
  std::optional<std::chrono::steady_clock::time_point> began = std::nullopt;
};

struct CallRecord {
  const CallOrigin& origin;
  const Registry& registry;  ///< the registry that the call went to
  Caller& caller;            ///< for ids and names, only before the answer; may read /proc
  const RawCall& raw;
  const Result<ShmCall>& call;
  std::int64_t value = 0;  ///< the answer; 0 of a call that its caller completes itself
  const Denial& denial;
  int shmid = -1;        ///< Reply::shmid()
  bool changed = false;  ///< Reply::changed()
  bool completed_by_caller = false;
  const ShmctlContents* contents = nullptr;  ///< Reply::contents(); null: none
};

/// A call that was refused before a registry was asked.
struct RefusedCall {
  const CallOrigin& origin;
  const RawCall& raw;
  const Result<ShmCall>& call;
  std::int64_t value = 0;  ///< the answer: an errno negated
  const Denial& denial;
};

class CallObserver {
 public:
  CallObserver() = default;
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  virtual ~CallObserver() = default;

  /// Whether CallOrigin::began is of use.
  [[nodiscard]] virtual bool wants_times() const noexcept { return false; }
  /// The caller still waits, so that /proc shows it.
  virtual void decided(const CallRecord& record) noexcept = 0;
  /// `delivered`: false if the caller was gone.
  virtual void answered(const CallRecord& record, bool delivered) noexcept = 0;
  /// Called instead of decided() and answered(). The caller still waits.
  virtual void refused(const RefusedCall& call) noexcept = 0;
};

}  // namespace shmvisor
