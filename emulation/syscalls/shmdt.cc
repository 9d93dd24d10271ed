// shmdt(2): ksys_shmdt() of ipc/shm.c.
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
      auto area = space_.area_above(cursor_);
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

}  // namespace

Reply shmdt(const ShmCall& call, Caller& caller, Registry& registry) {
  if (call.address % abi::kPageSize != 0) return Errno(EINVAL);
  MappingSpace& space = caller.space();
  AttachFragments fragments(call.address, space, registry.files());
  std::optional<MappingActor> by;
  bool found = false;
  auto next = fragments.next();
  while (next && *next) {
    const MappedArea fragment = **next;
    next = fragments.next();
    const bool is_all = !found && next && !*next;
    const auto unmapped = space.unmap(fragment.range, is_all);
    // One that mseal(2) protects stays, and neither the others nor the result care.
    if (!unmapped && unmapped.error() != Errno(EPERM)) {
      next = unmapped.error();
      break;
    }
    found = true;
    if (!unmapped) continue;
    if (!by) by.emplace(MappingActor{caller.process(), registry.host().now_seconds()});
    if (*unmapped == MappingSpace::Outcome::kLeft) {
      return left_to_caller(fragments.segment(), Segment::Change::kDetach, *by);
    }
    fragments.segment()->remove_mapping(fragment.offsets(), *by);
  }
  if (found) return 0;
  // What could not be looked at is not what is not there.
  return next || !is_shortage(next.error()) ? Errno(EINVAL) : Errno(ENOMEM);
}

}  // namespace shmvisor
