#include "supervisor/inject/remote_space.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <utility>

#include "policy/base/error_result.h"
#include "policy/base/fault_point.h"
#include "supervisor/inject/call_from_site.h"
#include "supervisor/inject/lent_mapping.h"
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
  const auto before = mapped_before(request, file);
  Mapping mapping;
  mapping.arguments = mmap_arguments(request, abi_);
  mapping.file = std::move(file.fd);
  mapping.goes_alone = [this] { goes_alone(); };
  mapping.caller_may_complete = request.caller_may_complete && request.lock != LockMode::kLazy;
  if (journal::InjectionNote* const note = before ? nullptr : hold_.note()) {
    note->length.store(request.length_bytes);
  }
  if (!before && is_refused()) return Errno(ENOMEM);
  const auto attempt = before ? Result(MapAttempt::answered(static_cast<std::int64_t>(*before)))
                              : map_in_caller(hold_, page_, features_, mapping);
  mapping.file.reset();  // only the mapping shall count for in_use()
  if (attempt && attempt->outcome == MapAttempt::Outcome::kCompletedByCaller) {
    return std::optional<std::uint64_t>();
  }
  auto address =
      attempt ? translate(attempt->answer, request) : Result<std::uint64_t>(attempt.error());
  if (address && request.lock == LockMode::kLazy && hold_.hold()) {
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
    const auto ran = page_.run(thread, unmapping, caller_may_complete, [this] { goes_alone(); });
    if (ran && !*ran) return Outcome::kCompletedByCaller;
    if (ran && (*ran)->result < 0) return Errno(static_cast<int>(-(*ran)->result));
    if (ran) return Outcome::kDone;
    if (ran.error() != Errno(EAGAIN)) return ran.error();
  }
  if (journal::InjectionNote* const note = thread.note()) {
    const auto area = do_area_above(range.start);
    const FileIdentity file = area && *area ? (*area)->file : FileIdentity();
    note->address.store(range.start);
    note->length.store(range.length);
    note->device.store(file.device);
    note->inode.store(file.inode);
  }
  const auto unmapped = unmap_in(thread, abi_, range, journal::InjectionNote::kUnmap);
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
  // Of what a server unmapped that died nothing is left to be seen.
  if (is_refused() && !do_unmapped_before()) return Errno(ENOMEM);
  return look_above(address);
}

Result<std::optional<MappedArea>> RemoteSpace::look_above(std::uint64_t address) {
  if (!map_) {
    auto map = MemoryMap::open(call_.tid(), features_);
    if (!map) return map.error();
    if (!call_.alive()) return Errno(ESRCH);
    map_.emplace(std::move(*map));
  }
  return map_->area_above(address, Areas::kShared);
}

std::optional<FileIdentity> RemoteSpace::do_unmapped_before() {
  const journal::InjectionNote* const note = earlier_.note;
  if (note == nullptr || note->done.load() != journal::InjectionNote::kUnmap) return std::nullopt;
  return FileIdentity{note->device.load(), note->inode.load()};
}

std::optional<std::uint64_t> RemoteSpace::mapped_before(const MapRequest& request,
                                                        const BackingFile& file) {
  journal::InjectionNote* const note = earlier_.note;
  if (note == nullptr || note->done.load() != journal::InjectionNote::kMap) return std::nullopt;
  const std::uint64_t address = note->address.load();
  struct stat status {};
  const auto area = look_above(address);
  if (area && *area && (*area)->range == AddressRange{address, request.length_bytes} &&
      ::fstat(file.fd.get(), &status) == 0 &&
      (*area)->file == FileIdentity{status.st_dev, status.st_ino}) {
    return address;
  }
  spdlog::debug("thread {}: nothing of the segment is at {:#x} any more", call_.tid(), address);
  note->done.store(journal::InjectionNote::kNothing);
  return std::nullopt;
}

void RemoteSpace::take_up_earlier() {
  fault_point("taking_up");
  journal::InjectionNote& note = *earlier_.note;
  spdlog::debug("thread {}: its call was served before: phase {}, done {} at {:#x}", call_.tid(),
                note.phase.load(), note.done.load(), note.address.load());
  if (is_refused()) {
    spdlog::error(
        "a call of thread {} was in service at {} deaths of servers in a row: it is refused",
        call_.tid(), earlier_.deaths);
    // Where what follows was it, too, the caller is left as it is.
    if (earlier_.deaths > CallSlots::kMostDeaths) return;
  }
  // Nothing but the descriptor that it was lent is different then.
  if (note.phase.load() == journal::InjectionNote::kNone) {
    note.done.store(journal::InjectionNote::kNothing);
    note.intend(journal::InjectionNote::kNothing);
  }
  const std::uint64_t mark = note.mark.load();
  const bool blocked = note.has(journal::InjectionNote::kBlocked);
  const CallPage* const page = page_.use().page;
  const auto left = LentDescriptor::find(call_.tid(), [&](std::uint64_t position) {
    return (mark != 0 && position == mark) || (page != nullptr && position == page->file().mark());
  });
  if ((!blocked && left.empty()) || !hold_.hold()) return;
  for (const int number : left) {
    (void)close_in(hold_.thread(), abi_, static_cast<std::uint64_t>(number));
    fault_point("left_closed");
  }
  note.mark.store(0);
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
