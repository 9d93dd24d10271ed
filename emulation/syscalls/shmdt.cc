// shmdt(2): ksys_shmdt() of ipc/shm.c.
#include <new>

#include "emulation/abi/pages.h"
#include "emulation/syscalls/shm_call.h"
#include "policy/base/shortage.h"

namespace shmvisor {
namespace {

/// Finds what is left of the attach at `address`: mappings of one segment that lie where the attach
/// put them. Fragments may have been unmapped, reprotected or moved away; what was moved elsewhere
/// no longer belongs to it.
class AttachFragments {
 public:
  AttachFragments(std::uint64_t address, MappingSpace& space, SegmentFiles& files)
      : address_(address), cursor_(address), space_(space), files_(files) {}

  /// The next fragment in address order.
  Result<std::optional<MappedArea>> next() {
    for (;;) {
      if (segment_ != nullptr && cursor_ - address_ >= size_bytes_) {
        return std::optional<MappedArea>();
      }
      auto area = look();
      if (!area || !*area) return area;
      const MappedArea& found = **area;
      cursor_ = found.range.end();
      if (segment_ != nullptr && found.range.end() - address_ > size_bytes_) {
        return std::optional<MappedArea>();
      }
      if (belongs(found)) return area;
    }
  }

  /// The segment, once next() gave a fragment.
  [[nodiscard]] const std::shared_ptr<Segment>& segment() const { return segment_; }

 private:
  Result<std::optional<MappedArea>> look() {
    try {
      return space_.area_above(cursor_);
    } catch (const std::bad_alloc&) {
      return Errno(ENOMEM);
    }
  }

  bool belongs(const MappedArea& area) {
    if (area.range.start - address_ != area.file_offset_bytes) return false;
    if (segment_ != nullptr) return segment_->memory().identity() == area.file;
    segment_ = files_.find(area.file);
    if (segment_ == nullptr) return false;
    size_bytes_ = segment_->memory().mapped_size_bytes();
    return true;
  }

  const std::uint64_t address_;
  std::uint64_t cursor_;
  MappingSpace& space_;
  SegmentFiles& files_;
  std::shared_ptr<Segment> segment_;
  std::uint64_t size_bytes_ = 0;
};

/// What the call answers where nothing was found because of an error: what could not be looked at
/// is not what is not there.
Errno as_answer(Errno error) {
  if (is_shortage(error)) return Errno(ENOMEM);
  return error == Errno(EAGAIN) ? error : Errno(EINVAL);
}

/// Unmaps the fragments. Whether there were any; nothing where the caller completes that.
class Detaching {
 public:
  Detaching(const ShmCall& call, Caller& caller, Registry& registry)
      : caller_(caller),
        registry_(registry),
        space_(caller.space()),
        fragments_(call.address, space_, registry.files()) {}

  Reply run() {
    auto next = fragments_.next();
    while (next && *next) {
      const MappedArea fragment = **next;
      const MappingActor& by = actor();  // once it is unmapped nothing may fail
      const EarlyStamps early(space_, fragments_.segment(), Segment::Change::kDetach, by,
                              registry_.host());
      next = fragments_.next();
      if (!found_ && !next && is_shortage(next.error())) break;  // nothing has happened yet
      const bool is_all = !found_ && next && !*next;
      const auto unmapped = space_.unmap(fragment.range, is_all && caller_may_complete());
      // One that mseal(2) protects stays, and neither the others nor the result care.
      if (!unmapped && unmapped.error() != Errno(EPERM)) {
        next = unmapped.error();
        break;
      }
      found_ = true;
      if (!unmapped) continue;
      if (*unmapped == MappingSpace::Outcome::kCompletedByCaller) {
        return completed_by_caller(fragments_.segment(), Segment::Change::kDetach, by);
      }
      fragments_.segment()->note_detach(by);
    }
    if (!found_) {
      const auto before = space_.unmapped_before();
      if (!before) return next ? Errno(EINVAL) : as_answer(next.error());
      const auto segment = registry_.files().find(*before);
      if (segment == nullptr) return 0;
      segment->note_detach(actor());
      return detached(segment);
    }
    return detached(fragments_.segment());
  }

 private:
  Reply detached(const std::shared_ptr<Segment>& segment) {
    drop_detached(segment, space_, registry_.files());
    Reply reply(0);
    reply.note_segment(segment->id());
    return reply;
  }

  /// Not where the segment is removed: this may be its last mapping, and the segment's memory must
  /// be free when the call is over, which the supervisor alone can see to.
  [[nodiscard]] bool caller_may_complete() const { return !fragments_.segment()->ends_unmapped(); }

  const MappingActor& actor() {
    if (!by_) by_.emplace(MappingActor{caller_.process(), registry_.host().now_seconds()});
    return *by_;
  }

  Caller& caller_;
  Registry& registry_;
  MappingSpace& space_;
  AttachFragments fragments_;
  std::optional<MappingActor> by_;
  bool found_ = false;
};

}  // namespace

std::shared_ptr<Segment> find_attached(std::uint64_t address, MappingSpace& space,
                                       SegmentFiles& files) {
  AttachFragments fragments(address, space, files);
  const auto first = fragments.next();
  return first && *first ? fragments.segment() : nullptr;
}

Reply shmdt(const ShmCall& call, Caller& caller, Registry& registry) {
  if (!is_page_aligned(call.address)) return Errno(EINVAL);
  return Detaching(call, caller, registry).run();
}

}  // namespace shmvisor
