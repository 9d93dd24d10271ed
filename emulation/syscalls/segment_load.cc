#include "emulation/syscalls/segment_load.h"

#include <utility>

#include "emulation/syscalls/new_segment.h"

namespace shmvisor {

Result<void> SegmentLoad::check(const Wanted& wanted, const RegistryState& state, Denial& denial) {
  const bool taken = wanted.key != abi::kIpcPrivate && (state.find_key(wanted.key) != nullptr ||
                                                        state.creations().of_key(wanted.key));
  if (taken) return Errno(EEXIST);
  const auto refused = refuse_segment(wanted.size_bytes, wanted.uid, state, true);
  if (!refused) return {};
  denial = refused->denial();
  return Errno(static_cast<int>(-refused->value()));
}

Result<std::unique_ptr<SegmentLoad>> SegmentLoad::begin(std::shared_ptr<Registry> registry,
                                                        const Wanted& wanted, Denial& denial) {
  registry->settle();
  if (const auto checked = check(wanted, *registry->read(), denial); !checked) {
    return checked.error();
  }
  BackingRequest request;
  request.name = segment_name(wanted.key);
  request.size_bytes = wanted.size_bytes;
  request.account = wanted.uid;
  request.commit = registry->memory_policy().commit_on_create;
  auto memory = registry->host().create_memory(request, denial);
  if (!memory) return memory.error();
  return std::unique_ptr<SegmentLoad>(
      new SegmentLoad(std::move(registry), wanted, std::move(*memory)));
}

Result<int> SegmentLoad::insert(Denial& denial) {
  Segment::Creation creation;
  creation.perm.key = wanted_.key;
  creation.perm.uid = creation.perm.cuid = wanted_.uid;
  creation.perm.gid = creation.perm.cgid = wanted_.gid;
  creation.perm.mode = wanted_.mode & abi::kPermissionBits;
  creation.size_bytes = wanted_.size_bytes;
  creation.cpid = wanted_.maker;
  creation.creator = wanted_.creator;
  creation.account = wanted_.uid;
  creation.now_seconds = registry_->host().now_seconds();
  Dropped none;
  Registry::WriteGuard state = registry_->write();
  if (const auto checked = check(wanted_, *state, denial); !checked) return checked.error();
  const Result<FreeId> free = state->next_id();
  if (!free) {
    denial = {Denial::Reason::kShmmni, state->limits().shmmni, 1,
              static_cast<std::uint64_t>(state->in_use())};
    return free.error();
  }
  creation.id = free->id;
  state.apply(
      InsertSegment{*free, std::make_shared<Segment>(std::move(creation), std::move(memory_))},
      none);
  return free->id;
}

SegmentLoad::~SegmentLoad() {
  if (memory_ == nullptr) return;
  if (auto free = memory_->discarding()) {
    registry_->host().free_aside(wanted_.uid, std::move(free));
  }
}

}  // namespace shmvisor
