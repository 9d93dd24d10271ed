#include "supervisor/inject/mmap_call.h"

#include <sys/mman.h>

#include "emulation/abi/pages.h"
#include "policy/base/error_result.h"

namespace shmvisor {
namespace {

constexpr std::size_t kMmapFlags = 3;

int protection(const Access& access) {
  return (access.read ? PROT_READ : 0) | (access.write ? PROT_WRITE : 0) |
         (access.execute ? PROT_EXEC : 0);
}

int placement_flag(Placement placement) {
  switch (placement) {
    case Placement::kExact:
      return MAP_FIXED_NOREPLACE;
    case Placement::kReplacing:
      return MAP_FIXED;
    default:
      return 0;
  }
}

int map_flags(const MapRequest& request, Abi abi) {
  int flags = MAP_SHARED | placement_flag(request.placement);
  if (!request.commit) flags |= MAP_NORESERVE;
  if (request.populate) flags |= MAP_POPULATE;
  if (request.lock == LockMode::kEager) flags |= MAP_LOCKED;
  if (request.below_4gib) flags |= mmap_form(abi).below_4gib_flag;
  return flags;
}

}  // namespace

CallArguments mmap_arguments(const MapRequest& request, Abi abi) {
  return {request.address,
          request.length_bytes,
          static_cast<std::uint64_t>(protection(request.access)),
          static_cast<std::uint64_t>(map_flags(request, abi)),
          0,  // the descriptor, once there is one
          request.offset_bytes / mmap_form(abi).offset_unit_bytes};
}

bool answers_mmap(std::int64_t result, const CallArguments& arguments) {
  constexpr std::uint64_t kAtAddress = MAP_FIXED | MAP_FIXED_NOREPLACE;
  if (is_error_result(result)) return true;
  const auto address = static_cast<std::uint64_t>(result);
  if ((arguments[kMmapFlags] & kAtAddress) != 0) return address == arguments[0];
  return is_page_aligned(address);
}

Result<void> lock_lazily(StoppedThread& thread, Abi abi, const AddressRange& range) {
  const auto locked = thread.call(abi, RemoteCall::kMlock2,
                                  {range.start, range.length, std::uint64_t{MLOCK_ONFAULT}});
  if (!locked) return locked.error();
  if (*locked == 0) return {};
  const auto unmapped = unmap_in(thread, abi, range, journal::InjectionNote::kUndo);
  if (!unmapped) return unmapped.error();
  return Errno(static_cast<int>(-*locked));
}

Result<void> unmap_in(StoppedThread& thread, Abi abi, const AddressRange& range,
                      journal::InjectionNote::Deed deed) {
  thread.intend(deed);
  const auto unmapped = thread.call(abi, RemoteCall::kMunmap, {range.start, range.length});
  if (!unmapped) return unmapped.error();
  if (*unmapped < 0) return Errno(static_cast<int>(-*unmapped));
  return {};
}

}  // namespace shmvisor
