// Of processors that have no such code yet. On aarch64 `svc` leaves it no register to return by,
// since x1 to x30 are the caller's after it: there it has to end in rt_sigreturn(2), with a slot
// that is a signal frame.
#include "supervisor/inject/arch/page_code.h"

#include <cstdlib>

namespace shmvisor::page_code {
namespace {

/// There is no CallPage that could ask for anything but bytes() and abi().
[[noreturn]] void not_there() { std::abort(); }

}  // namespace

std::span<const std::uint8_t> bytes() { return {}; }
Abi abi() { return kNativeAbi; }

AddressRange places() { not_there(); }
std::uint8_t filler() { not_there(); }
Slot slot_for(const Registers& /*thread*/, std::uint64_t /*signal_mask*/, const Work& /*work*/,
              bool /*tells*/) {
  not_there();
}
std::size_t result_in_slot() { not_there(); }
std::size_t descriptor_in_slot() { not_there(); }
std::size_t signal_mask_in_slot() { not_there(); }
std::uint64_t slot_of(const Registers& /*running*/) { not_there(); }
Registers begin(const Registers& /*thread*/, std::uint64_t /*page*/, std::uint64_t /*slot*/,
                const Work& /*work*/) {
  not_there();
}
Registers finish(const Registers& /*thread*/, std::uint64_t /*page*/, std::uint64_t /*slot*/) {
  not_there();
}
bool first_call_refused(const Registers& /*begin*/, const Registers& /*now*/) { not_there(); }
std::uint64_t slot_said_by(const seccomp_data& /*call*/) { not_there(); }
Order order_for(const Work& /*work*/) { not_there(); }
std::size_t free_in_slot() { not_there(); }
std::size_t site_entry(Task /*task*/) { not_there(); }
std::size_t asked() { not_there(); }
std::size_t entry(Task /*task*/) { not_there(); }
std::size_t fetched() { not_there(); }
std::size_t mapped() { not_there(); }
std::size_t closed() { not_there(); }
std::size_t unmapped() { not_there(); }
std::size_t told() { not_there(); }
std::size_t forbidden() { not_there(); }
std::size_t failed() { not_there(); }
std::size_t mask_refused() { not_there(); }

}  // namespace shmvisor::page_code
