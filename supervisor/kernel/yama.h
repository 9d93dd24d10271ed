// Yama's restriction of ptrace(2), Documentation/admin-guide/LSM/Yama.rst.
#pragma once

#include <optional>

namespace shmvisor::yama {

enum Scope : int {
  kUnrestricted = 0,
  kDescendants = 1,  ///< whoever lacks CAP_SYS_PTRACE traces descendants alone
  kPrivileged = 2,   ///< CAP_SYS_PTRACE
  kNobody = 3,
};

/// kernel.yama.ptrace_scope; nothing where the kernel has no Yama.
[[nodiscard]] std::optional<int> ptrace_scope();

}  // namespace shmvisor::yama
