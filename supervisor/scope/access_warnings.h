// AccessWarnings: warns the operator, once for each kind, why we cannot reach a process and what
// would help. The process's call has failed: shmat(2) with EACCES, shmctl(2) with EFAULT, shmdt(2)
// with EINVAL.
//
// Only once, because such a process calls again and again.
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
  /// Why we cannot reach a process.
  enum class Kind : std::uint8_t {
    kTracer,         ///< another tracer has it, and a process has one tracer
    kForbidden,      ///< a seccomp filter around us forbids ptrace(2) altogether
    kYama,           ///< kernel.yama.ptrace_scope, see supervisor/kernel/yama.h
    kUserNamespace,  ///< it lives in a user namespace of its own (user_namespaces(7))
    kIdentity,       ///< it changed its user without an exec since, or made itself undumpable
    kCount,
  };

  /// Called when the kernel refused us access to the thread.
  void warn_of(pid_t tid);

 private:
  std::array<std::atomic_flag, static_cast<std::size_t>(Kind::kCount)> told_{};
};

}  // namespace shmvisor
