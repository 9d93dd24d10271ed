#include "supervisor/inject/lent_mapping.h"

#include "policy/base/error_result.h"

namespace shmvisor {

Result<void> close_in(StoppedThread& thread, Abi abi, std::uint64_t number) {
  const auto closed = thread.call(abi, RemoteCall::kClose, {number});
  if (!closed) return closed.error();
  return {};
}

Result<MapAttempt> finish_lent_mapping(StoppedThread& thread, Abi abi, const Mapping& mapping,
                                       const CallPage::Progress& progress) {
  if (progress.lost) return MapAttempt::of(MapAttempt::Outcome::kLost);
  if (!progress.closed) {
    const std::uint64_t number = mapping.arguments[kMmapDescriptor];
    const auto ours = mapping.lent->identify(thread.tid(), static_cast<int>(number));
    if (!ours.value_or(false)) {
      if (!is_error_result(progress.result)) {
        const AddressRange range{static_cast<std::uint64_t>(progress.result), mapping.arguments[1]};
        const auto unmapped = unmap_in(thread, abi, range, journal::InjectionNote::kUndo);
        if (!unmapped) return unmapped.error();
      }
      if (!ours) return Errno(ENOMEM);
      return MapAttempt::of(MapAttempt::Outcome::kLost);
    }
    if (const auto closed = close_in(thread, abi, number); !closed) return closed.error();
  }
  if (!answers_mmap(progress.result, mapping.arguments)) return Errno(EACCES);
  return MapAttempt::answered(progress.result);
}

}  // namespace shmvisor
