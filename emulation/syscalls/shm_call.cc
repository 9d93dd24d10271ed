#include "emulation/syscalls/shm_call.h"

namespace shmvisor {

Reply carry_out(Caller& caller, Registry& registry, const Decide& decide) {
  Dropped dropped;
  Denial denial;
  std::int64_t value = 0;
  {
    Registry::WriteGuard state = registry.write();
    const Result<Decision> decision = decide(*state, denial);
    if (!decision) return Reply(decision.error(), denial);
    value = decision->value;
    if (decision->change) {
      state.prepare(*decision->change);
      // Also because a caller that is gone may not be who we took it for when we asked for its
      // rights.
      if (!caller.confirm(value)) {
        state.cancel();
        return Errno(EINTR);  // which nobody gets to see
      }
      state.apply(*decision->change, dropped);
    }
  }
  dropped.free();
  Reply reply(value);
  reply.explain(denial);
  return reply;
}

Reply left_to_caller(const std::shared_ptr<Segment>& segment, Segment::Change change,
                     const MappingActor& by) {
  // It may never be needed, and must not keep the segment till then.
  return Reply::left_to_caller(
      [kept = std::weak_ptr(segment), number = segment->change_for_now(change, by)] {
        if (const auto still = kept.lock()) still->take_back(number);
      });
}

void drop_detached(const std::shared_ptr<Segment>& segment, MappingSpace& space,
                   SegmentFiles& files) {
  // Where that fails the caller is dying, and whoever settles next will see that it is over.
  if (segment->ends_unmapped()) (void)space.finish_unmapping();
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
