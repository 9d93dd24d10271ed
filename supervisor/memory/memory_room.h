// How much memory can be allocated before the kernel kills for it.
//
// Asked by whoever allocates much at once and wants an error rather than the OOM killer: what is
// available to everybody (proc(5), MemAvailable and SwapFree) and what the memory limits of our own
// cgroups leave (cgroups(7), version 1 and 2), page cache counted as free. A guess: others allocate
// at the same time.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <string>

namespace shmvisor {

/// In bytes; UINT64_MAX where nothing can be found out.
std::uint64_t memory_room_bytes();

/// The cgroups' part, for the cgroup with this folder and those above it.
std::uint64_t control_group_room_bytes(std::string folder);

}  // namespace shmvisor
