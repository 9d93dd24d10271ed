#include "policy/filter/arch/filtered_architectures.h"

#include <seccomp.h>

#include <array>

namespace shmvisor {
namespace {

using ShmCalls = FilteredArchitecture::ShmCalls;

constexpr std::array kArchitectures = {
    FilteredArchitecture{.token = SCMP_ARCH_AARCH64,
                         .shm_calls = ShmCalls::kNotifiedOrTraced,
                         .has_ipc_multiplexer = false,
                         .shows_clone = true},
    FilteredArchitecture{.token = SCMP_ARCH_ARM,
                         .shm_calls = ShmCalls::kNotified,
                         .has_ipc_multiplexer = false,
                         .shows_clone = true},
};

}  // namespace

std::span<const FilteredArchitecture> filtered_architectures() { return kArchitectures; }

}  // namespace shmvisor
