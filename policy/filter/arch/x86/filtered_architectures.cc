#include "policy/filter/arch/filtered_architectures.h"

#include <seccomp.h>

#include <array>

namespace shmvisor {
namespace {

using ShmCalls = FilteredArchitecture::ShmCalls;

constexpr std::array kArchitectures = {
    FilteredArchitecture{.token = SCMP_ARCH_X86_64,
                         .shm_calls = ShmCalls::kNotifiedOrTraced,
                         .has_ipc_multiplexer = false,
                         .shows_clone = true},
    // A kernel that has x32 (syscall.x32=y) carries unshare(2) and setns(2) of x32 out for any
    // x86-64 program.
    FilteredArchitecture{.token = SCMP_ARCH_X32,
                         .shm_calls = ShmCalls::kMissing,
                         .has_ipc_multiplexer = false,
                         .shows_clone = false},
    FilteredArchitecture{.token = SCMP_ARCH_X86,
                         .shm_calls = ShmCalls::kNotified,
                         .has_ipc_multiplexer = true,
                         .shows_clone = true},
};

}  // namespace

std::span<const FilteredArchitecture> filtered_architectures() { return kArchitectures; }

}  // namespace shmvisor
