// The CPUs that the calling thread may run on: sched_getaffinity(2).
#pragma once

#include <sched.h>

namespace shmvisor {

/// None where they cannot be told, which needs more than 1024 CPUs.
inline cpu_set_t allowed_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  (void)::sched_getaffinity(0, sizeof(cpus), &cpus);
  return cpus;
}

}  // namespace shmvisor
