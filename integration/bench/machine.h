// Machine: what the figures of a run depend on beside the programs: the processor, the kernel, who
// else was busy.
//
// Errors: what cannot be read is left out. Thread rule: no shared state.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shmvisor {

/// Name and value of each fact, in the order to be shown.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// What does not change during a run. `shmvisor` is the program's path.
Facts machine_facts(const std::string& shmvisor);

/// The first three fields of /proc/loadavg: runnable tasks, over 1, 5 and 15 minutes.
std::string load_average();

/// The CPUs that we may use.
int cpu_count();

/// Raises the limit on descriptors as far as it goes, for us and for what we start.
/// The hard limit that there is then.
std::size_t raise_descriptor_limit();

}  // namespace shmvisor
