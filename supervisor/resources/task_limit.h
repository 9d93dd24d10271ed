// TaskLimit: a resource limit of another process, from /proc/PID/limits.
//
// prlimit(2) would need CAP_SYS_RESOURCE for a process of another user.
// Errors: those of read_proc_file(); EINVAL where there is no such limit.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "policy/base/result.h"

namespace shmvisor {

struct TaskLimit {
  static constexpr std::uint64_t kUnlimited = UINT64_MAX;

  std::uint64_t soft = 0;
  std::uint64_t hard = 0;

  /// `name` as the file has it: "Max locked memory".
  static Result<TaskLimit> read(pid_t pid, std::string_view name);
};

}  // namespace shmvisor
