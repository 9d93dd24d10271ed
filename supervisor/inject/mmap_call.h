// What a stopped thread is made to do for a MapRequest: mmap(2), mlock2(2) and munmap(2), by its
// own ABI.
//
// Errors: those of the calls, and StoppedThread::call()'s. Thread rule: the tracing thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "emulation/memmap/address_range.h"
#include "emulation/memmap/map_request.h"
#include "policy/base/result.h"
#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

using CallArguments = std::array<std::uint64_t, 6>;
inline constexpr std::size_t kMmapDescriptor = 4;

/// Of mmap(2). All but the descriptor, which is known later.
CallArguments mmap_arguments(const MapRequest& request, Abi abi);
/// Whether mmap(2) can have answered `result`. A thread that maps by code in its own memory may
/// lie.
bool answers_mmap(std::int64_t result, const CallArguments& arguments);

/// LockMode::kLazy, for which mmap(2) has no flag. Where the lock is refused the mapping goes.
Result<void> lock_lazily(StoppedThread& thread, Abi abi, const AddressRange& range);
/// `deed`: what it is to the call that is served.
Result<void> unmap_in(StoppedThread& thread, Abi abi, const AddressRange& range,
                      journal::InjectionNote::Deed deed);

}  // namespace shmvisor
