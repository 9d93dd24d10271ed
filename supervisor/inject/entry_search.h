// Where a stopped thread can be made to enter the kernel: by the instruction by which it entered,
// or by one of the vdso's, which every process has that did not unmap it.
//
// Thread rule: the tracing thread.
#pragma once

#include <cstdint>
#include <optional>

#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

[[nodiscard]] std::optional<std::uint64_t> find_entry(const StoppedThread& thread);

}  // namespace shmvisor
