// SwitchCount: how often a process's first thread was given a CPU (sched_info_arrive() of
// kernel/sched/stats.h), the third number of /proc/PID/schedstat.
//
// As long as it stays the same, a thread that was off its CPU has not run: not in user space, and
// not in the middle of a system call either. To read it takes 1 µs, and waits for nobody.
//
// Nothing where the kernel lacks CONFIG_SCHED_INFO, or the process is gone. Ownership: keeps the
// file open; no later process with that pid is meant. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class SwitchCount {
 public:
  static std::optional<SwitchCount> open(pid_t pid);

  [[nodiscard]] std::optional<std::uint64_t> read() const;

 private:
  explicit SwitchCount(UniqueFd schedstat) : schedstat_(std::move(schedstat)) {}

  UniqueFd schedstat_;
};

/// Whether the first thread of the process was off its CPU at a moment of this call:
/// /proc/PID/syscall, for which the kernel waits until the thread has left its CPU
/// (wait_task_inactive()), and says "running" where it does not. May wait as for /proc/PID/maps,
/// and takes the right to trace.
[[nodiscard]] bool was_off_cpu(pid_t pid);

/// Whether the process has no thread but its first.
[[nodiscard]] bool has_one_thread(pid_t pid);

}  // namespace shmvisor
