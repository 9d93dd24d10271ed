// FilteredArchitecture: what the filter does with the calls of one architecture
// (struct seccomp_data.arch). Each processor has a folder beside this file, with the architectures
// that its kernel carries calls out for. libseccomp knows the numbers of the calls.
#pragma once

#include <cstdint>
#include <span>

namespace shmvisor {

struct FilteredArchitecture {
  enum class ShmCalls : std::uint8_t {
    kNotified,          ///< the supervisor answers them
    kNotifiedOrTraced,  ///< and shmat and shmdt with kTracedArgument stop for a tracer
    kMissing,           ///< ENOSYS
  };

  std::uint32_t token = 0;  ///< SCMP_ARCH_*
  ShmCalls shm_calls = ShmCalls::kNotified;
  bool has_ipc_multiplexer = false;  ///< ipc(2)
  /// Whether clone(2) with CLONE_NEWIPC is told. Only where the flags are its first argument.
  bool shows_clone = false;
};

/// All that the filter knows, the processor's own first. Calls of others fail with ENOSYS.
std::span<const FilteredArchitecture> filtered_architectures();

}  // namespace shmvisor
