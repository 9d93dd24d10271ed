// The one way in, from a decoded call to a Reply; and what the four calls have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "emulation/shm/registry.h"
#include "emulation/syscalls/caller.h"
#include "emulation/syscalls/decode.h"
#include "emulation/syscalls/reply.h"

namespace shmvisor {

/// Answers a call, as decode() gave it. `registry` is that of the caller's IPC namespace.
Reply answer_call(const Result<ShmCall>& call, Caller& caller, Registry& registry);

/// What a call that changes the registry has decided, and what it answers then.
struct Decision {
  std::int64_t value = 0;
  std::optional<Change> change = std::nullopt;
};
/// Looks at the state of the registry, and notes why it denies.
using Decide = std::function<Result<Decision>(const RegistryState&, Denial&)>;
/// Takes the lock of the registry, exclusively, has `decide` look, carries its decision out, and
/// frees what was dropped by that before this returns: the caller runs on afterwards. Precondition:
/// the caller is secured.
Reply carry_out(Caller& caller, Registry& registry, const Decide& decide);

/// For a shmat or shmdt that the caller completes by itself: makes `change` to `segment`, which is
/// undone if the caller cannot complete the call.
Reply completed_by_caller(const std::shared_ptr<Segment>& segment, Segment::Change change,
                          const MappingActor& by);

/// The stamps of a change to `segment` that the caller may end although we die in its middle: there
/// from before it begins, until this ends and the change is stamped as one that was made, or not.
/// Borrows all that it is given.
class EarlyStamps {
 public:
  /// Of the next change in `space`.
  EarlyStamps(MappingSpace& space, const std::shared_ptr<Segment>& segment, Segment::Change change,
              const MappingActor& by, Host& host);
  EarlyStamps(const EarlyStamps&) = delete;
  EarlyStamps& operator=(const EarlyStamps&) = delete;
  ~EarlyStamps();

 private:
  void make();

  MappingSpace& space_;
  const std::shared_ptr<Segment>& segment_;
  const Segment::Change change_;
  const MappingActor& by_;
  Host& host_;
  std::uint64_t number_ = 0;
};

/// The caller has unmapped `segment`: drops it and frees its memory if that was the end of it.
void drop_detached(const std::shared_ptr<Segment>& segment, MappingSpace& space,
                   SegmentFiles& files) noexcept;

/// The segment of the attach at `address` of the caller, as shmdt would find it; null where there
/// is none, or it cannot be told. Reads the caller's mappings.
std::shared_ptr<Segment> find_attached(std::uint64_t address, MappingSpace& space,
                                       SegmentFiles& files);

// One file each.
Reply shmget(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmat(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmdt(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmctl(const ShmCall& call, Caller& caller, Registry& registry);

}  // namespace shmvisor
