// How much memory can be allocated before the kernel kills for it.
//
// For an allocation that is large and must rather fail than cause an OOM kill. The smaller of what
// the machine has available (proc(5), MemAvailable and SwapFree) and what the memory limits of our
// own cgroups leave (cgroups(7), version 1 and 2; page cache counts as free). An estimate: others
// allocate at the same time.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <string>

namespace shmvisor {

/// In bytes; UINT64_MAX where it cannot be found out.
std::uint64_t memory_room_bytes();

/// The room that the cgroup with this folder, and those above it, leave.
std::uint64_t control_group_room_bytes(std::string folder);

}  // namespace shmvisor
