// Of another thread of ours: what it has worked, and whether it waits.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>

namespace shmvisor {

/// CPU time; 0 where the thread has ended.
[[nodiscard]] std::chrono::nanoseconds cpu_time(pid_t tid);

/// Whether it waits for something else than a CPU.
[[nodiscard]] bool is_blocked(pid_t tid);

}  // namespace shmvisor
