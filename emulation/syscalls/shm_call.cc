#include "emulation/syscalls/shm_call.h"

#include <functional>
#include <new>
#include <utility>

namespace shmvisor {

Reply carry_out(Caller& caller, Registry& registry, const Decide& decide) {
  Dropped dropped;
  Denial denial;
  std::int64_t value = 0;
  bool changed = false;
  {
    Registry::WriteGuard state = registry.write();
    const Result<Decision> decision = decide(*state, denial);
    if (!decision) return Reply(decision.error(), denial);
    value = decision->value;
    if (decision->change) {
      state.prepare(*decision->change, dropped);
      // Also because a caller that is gone may not be who we took it for when we asked for its
      // rights.
      if (!caller.confirm(value)) return Errno(EINTR);  // which nobody gets to see
      // From here on nothing needs memory: what was decided happens as a whole.
      state.apply(*decision->change, dropped);
      changed = true;
    }
  }
  dropped.free();
  Reply reply(value);
  reply.explain(denial);
  if (changed) reply.note_change();
  return reply;
}

Reply completed_by_caller(const std::shared_ptr<Segment>& segment, Segment::Change change,
                          const MappingActor& by) {
  const std::uint64_t number = segment->note_provisionally(change, by);
  const auto completed = [&](std::function<void()> undo) {
    Reply reply = Reply::completed_by_caller(std::move(undo));
    reply.note_segment(segment->id());
    return reply;
  };
  try {
    // It may never be needed, and must not keep the segment till then.
    return completed([kept = std::weak_ptr(segment), number] {
      if (const auto still = kept.lock()) still->retract(number);
    });
  } catch (const std::bad_alloc&) {
    // The caller completes its call all the same. Should it fail to, the stamps stay.
    return completed([] {});
  }
}

EarlyStamps::EarlyStamps(MappingSpace& space, const std::shared_ptr<Segment>& segment,
                         Segment::Change change, const MappingActor& by, Host& host)
    : space_(space), segment_(segment), change_(change), by_(by), host_(host) {
  space_.tell_before_it_goes_alone([this] { make(); });
}

EarlyStamps::~EarlyStamps() {
  space_.tell_before_it_goes_alone({});
  if (number_ != 0) segment_->retract(number_);
}

void EarlyStamps::make() {
  if (number_ != 0) return;
  number_ = segment_->note_provisionally(change_, {by_.process, host_.now_seconds()});
}

void drop_detached(const std::shared_ptr<Segment>& segment, MappingSpace& space,
                   SegmentFiles& files) noexcept {
  // Where that fails the caller is dying, or memory is short; whoever settles next will see that it
  // is over.
  try {
    if (segment->ends_unmapped()) (void)space.finish_unmapping();
  } catch (const std::bad_alloc&) {  // NOLINT: see above
  }
  // Also where another thread was told of its end first, and has dropped it.
  files.drop_if_over(segment);
}

Reply answer_call(const Result<ShmCall>& call, Caller& caller, Registry& registry) {
  if (!call) return call.error();
  switch (call->operation) {
    case ShmOperation::kShmget:
      return shmget(*call, caller, registry);
    case ShmOperation::kShmat:
      return shmat(*call, caller, registry);
    case ShmOperation::kShmdt:
      return shmdt(*call, caller, registry);
    case ShmOperation::kShmctl:
      return shmctl(*call, caller, registry);
  }
  return Errno(ENOSYS);
}

}  // namespace shmvisor
