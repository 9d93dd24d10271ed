#include "supervisor/inject/remote_space.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "policy/base/error_result.h"
#include "supervisor/inject/call_from_site.h"
#include "supervisor/inject/mapping_ways.h"
#include "supervisor/inject/mmap_call.h"
#include "supervisor/inject/outgoing_files.h"
#include "supervisor/inject/site_rewriter.h"

namespace shmvisor {

Result<std::optional<std::uint64_t>> RemoteSpace::do_map(const MapRequest& request,
                                                         BackingFile file) {
  // More than a 32-bit mmap2 can be asked for.
  if (request.below_4gib && request.length_bytes > UINT32_MAX) {
    return translate(-ENOMEM, request).error();
  }
  Mapping mapping;
  mapping.arguments = mmap_arguments(request, abi_);
  mapping.file = std::move(file.fd);
  mapping.caller_may_complete = request.caller_may_complete && request.lock != LockMode::kLazy;
  const auto attempt = map_in_caller(hold_, page_, features_, mapping);
  mapping.file.reset();  // only the mapping shall count for in_use()
  if (attempt && attempt->outcome == MapAttempt::Outcome::kCompletedByCaller) {
    return std::optional<std::uint64_t>();
  }
  auto address =
      attempt ? translate(attempt->answer, request) : Result<std::uint64_t>(attempt.error());
  if (address && request.lock == LockMode::kLazy) {
    const auto locked = lock_lazily(hold_.thread(), abi_, {*address, request.length_bytes});
    if (!locked) address = locked.error();
  }
  if (!address) {
    spdlog::debug("thread {}: {} cannot be mapped: errno {}", call_.tid(), request.name,
                  address.error().value());
    return address.error();
  }
  return std::optional(*address);
}

Result<MappingSpace::Outcome> RemoteSpace::do_unmap(const AddressRange& range,
                                                    bool caller_may_complete) {
  const CallPage::Work unmapping{CallPage::Task::kUnmap, {range.start, range.length}, 0};
  if (caller_may_complete && CallFromSite(hold_, page_).tell(unmapping)) {
    return Outcome::kCompletedByCaller;
  }
  // It may be the last mapping of a segment that is to be over then.
  OutgoingFiles::all().wait_for(page_.use().unique);
  if (const auto held = hold_.hold(); !held) return held.error();
  StoppedThread& thread = hold_.thread();
  if (page_.is_in(thread)) {
    SiteRewriter(hold_, page_, features_).rewrite_if_due();
    const auto ran = page_.run(thread, unmapping, caller_may_complete);
    if (ran && !*ran) return Outcome::kCompletedByCaller;
    if (ran && (*ran)->result < 0) return Errno(static_cast<int>(-(*ran)->result));
    if (ran) return Outcome::kDone;
    if (ran.error() != Errno(EAGAIN)) return ran.error();
  }
  const auto unmapped = unmap_in(thread, abi_, range);
  if (!unmapped) return unmapped.error();
  unmapped_by_step_ = true;
  return Outcome::kDone;
}

Result<void> RemoteSpace::do_finish_unmapping() {
  if (!hold_.held() || !std::exchange(unmapped_by_step_, false)) return {};
  // The stop at the end of a call comes before the kernel closes what the call let go of
  // (____fput() is task work); that at the beginning of the next one comes after. This one does
  // nothing: EINVAL.
  const auto entered = hold_.thread().call(abi_, RemoteCall::kMunmap, {0, 0});
  if (!entered) return entered.error();
  return {};
}

Result<std::optional<MappedArea>> RemoteSpace::do_area_above(std::uint64_t address) {
  if (!map_) {
    auto map = MemoryMap::open(call_.tid(), features_);
    if (!map) return map.error();
    if (!call_.alive()) return Errno(ESRCH);
    map_.emplace(std::move(*map));
  }
  return map_->area_above(address, Areas::kShared);
}

Result<std::uint64_t> RemoteSpace::translate(std::int64_t mapped, const MapRequest& request) {
  if (!is_error_result(mapped)) return static_cast<std::uint64_t>(mapped);
  const int error = static_cast<int>(-mapped);
  if (request.placement != Placement::kExact) return Errno(error);
  // MAP_FIXED_NOREPLACE says EEXIST where do_shmat() says EINVAL, and looks for the end of the
  // address space first, where do_shmat() looks for an overlap first.
  if (error == EEXIST) return Errno(EINVAL);
  if (error == ENOMEM && anything_mapped({request.address, request.length_bytes})) {
    return Errno(EINVAL);
  }
  return Errno(error);
}

bool RemoteSpace::anything_mapped(const AddressRange& range) {
  auto map = MemoryMap::open(call_.tid(), features_);
  if (!map) return false;
  const auto area = map->area_above(range.start, Areas::kAll);
  return area && *area && (*area)->range.overlaps(range);
}

void RemoteSpace::restore_signal_mask() {
  if (!hold_.hold()) return;
  const auto mask = CallPage::kept_signal_mask(hold_.thread());
  if (mask) hold_.thread().set_signal_mask_then(*mask);
}

}  // namespace shmvisor
