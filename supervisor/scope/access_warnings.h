// AccessWarnings: tells the operator, once of each kind, why a process is out of our reach and what
// would help. Its call has failed: shmat(2) with EACCES, shmctl(2) with EFAULT, shmdt(2) with
// EINVAL.
//
// Once, because such a process calls again and again.
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shmvisor {

class AccessWarnings {
 public:
  /// What stands between us and a process.
  enum class Kind : std::uint8_t {
    kTracer,         ///< somebody else ptraces it, and a process has one tracer
    kForbidden,      ///< a seccomp filter around us forbids ptrace(2) altogether
    kUserNamespace,  ///< it lives in a user namespace of its own (user_namespaces(7))
    kIdentity,       ///< it changed its user without an exec since, or made itself undumpable
    kCount,
  };

  /// To be called when the kernel refused what we need of the thread.
  void warn_of(pid_t tid);

 private:
  std::array<std::atomic_flag, static_cast<std::size_t>(Kind::kCount)> told_{};
};

}  // namespace shmvisor
