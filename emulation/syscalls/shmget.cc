// shmget(2): ksys_shmget(), ipcget() and newseg() of ipc/shm.c and ipc/util.c, checks in their
// order.
#include <chrono>
#include <memory>
#include <optional>

#include "emulation/abi/pages.h"
#include "emulation/syscalls/new_segment.h"
#include "emulation/syscalls/shm_call.h"
#include "policy/base/held_locks.h"

namespace shmvisor {
namespace {

/// What the flags ask of the memory. Huge pages are for CAP_IPC_LOCK and for one group:
/// hugetlb_file_setup() of fs/hugetlbfs/inode.c.
Result<BackingRequest> backing_for(const ShmCall& call, Caller& caller, const Registry& registry,
                                   Denial& denial) {
  Host& host = registry.host();
  BackingRequest request;
  request.name = segment_name(call.key);
  request.size_bytes = call.size_bytes;
  request.account = caller.account();
  request.reserve = (call.shmflg & abi::kShmNoreserve) == 0;
  request.commit = registry.memory_policy().commit_on_create;
  request.huge = (call.shmflg & abi::kShmHugetlb) != 0;
  if (!request.huge) return request;
  request.huge_size_log2 =
      (static_cast<unsigned>(call.shmflg) >> abi::kShmHugeShift) & unsigned{abi::kShmHugeMask};
  const auto page_bytes = host.huge_page_bytes(request.huge_size_log2);
  if (!page_bytes) return page_bytes.error();
  request.huge_page_bytes = *page_bytes;
  if (!caller.subject().capable_over_machine(Capability::kIpcLock) &&
      !caller.subject().in_group(host.hugetlb_shm_group())) {
    denial = {Denial::Reason::kHugetlbGroup, host.hugetlb_shm_group(), 0, 0};
    return Errno(EPERM);
  }
  return request;
}

/// ipcget_public()'s half for a key that exists. IPC_PRIVATE is none.
std::optional<Reply> use_existing(const ShmCall& call, Caller& caller, const RegistryState& state) {
  if (call.key == abi::kIpcPrivate) return std::nullopt;
  const auto segment = state.find_key(call.key);
  if (segment == nullptr) return std::nullopt;
  if ((call.shmflg & abi::kIpcCreat) != 0 && (call.shmflg & abi::kIpcExcl) != 0) {
    return Errno(EEXIST);
  }
  if (segment->size_bytes() < call.size_bytes) {
    return Reply(Errno(EINVAL),
                 {Denial::Reason::kSmallerSegment, segment->size_bytes(), call.size_bytes, 0});
  }
  const IpcPerm& perm = state.of(*segment).perm;
  if (!ipcperms(perm, caller.subject(), call.shmflg)) {
    return Reply(Errno(EACCES), Denial::by_mode(perm.mode, call.shmflg));
  }
  return segment->id();
}

/// The key and the pages of a segment, from when it may be made until it is there, or is not. When
/// it is there and this has not ended yet, whoever lacks the pages waits for that end.
class Reservation {
 public:
  Reservation(Registry& registry, Registry::WriteGuard& held, const ShmCall& call, uid_t user)
      : registry_(registry), key_(call.key), pages_(pages_of(call.size_bytes)), user_(user) {
    held.creations().begin(key_, pages_, user_);
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    Registry::WriteGuard held = registry_.write();
    held.creations().end(key_, pages_, user_);
  }

 private:
  Registry& registry_;
  const key_t key_;
  const std::uint64_t pages_;
  const uid_t user_;
};

/// For another's creation. As long as making much memory may take.
constexpr std::chrono::seconds kMostPatience(30);

/// Reserves what the new segment will need, or answers; nothing where `others` have to end first.
std::optional<Reply> try_to_reserve(const ShmCall& call, Caller& caller, uid_t user,
                                    Registry& registry, Registry::WriteGuard& state,
                                    std::optional<Reservation>& reservation) {
  if (auto existing = use_existing(call, caller, *state)) return existing;
  if (refuse_segment(call.size_bytes, user, *state, true)) {
    return refuse_segment(call.size_bytes, user, *state, false);
  }
  if (!state->creations().of_key(call.key)) reservation.emplace(registry, state, call, user);
  return std::nullopt;
}

/// The same with the patience to wait for others, and with the lock held for moments only.
std::optional<Reply> reserve(const ShmCall& call, Caller& caller, Registry& registry,
                             std::optional<Reservation>& reservation) {
  const uid_t user = caller.account();  // may look into /proc
  {
    Registry::WriteGuard state = registry.write();
    auto answer = try_to_reserve(call, caller, user, registry, state, reservation);
    if (answer || reservation) return answer;
  }
  caller.long_step();
  const auto deadline = std::chrono::steady_clock::now() + kMostPatience;
  Registry::WriteGuard state = registry.write();
  for (;;) {
    auto answer = try_to_reserve(call, caller, user, registry, state, reservation);
    if (answer || reservation) return answer;
    // In the kernel it would be the other's turn until that has ended: newseg().
    if (!state.wait_for_a_creation(deadline)) return Errno(ENOMEM);
  }
}

Result<std::unique_ptr<BackingMemory>> make_memory(const BackingRequest& request, Caller& caller,
                                                   const Registry& registry, Denial& denial) {
  if (request.commit) caller.long_step();
  HeldLocks::assert_may_wait();
  auto memory = registry.host().create_memory(request, denial);
  FreeingMemory& freeing = registry.files().freeing();
  if (memory || !freeing.any()) return memory;
  // Natively what was dropped before would be free.
  caller.long_step();
  freeing.wait_for_earlier();
  return registry.host().create_memory(request, denial);
}

Segment::Creation creation_of(const ShmCall& call, Caller& caller, const Registry& registry) {
  Segment::Creation creation;
  creation.perm.key = call.key;
  creation.perm.uid = creation.perm.cuid = caller.subject().euid();
  creation.perm.gid = creation.perm.cgid = caller.subject().egid();
  creation.perm.mode = static_cast<mode_t>(call.shmflg) & abi::kPermissionBits;
  creation.size_bytes = call.size_bytes;
  creation.cpid = caller.process();
  creation.creator = caller.thread();
  creation.account = caller.account();
  creation.now_seconds = registry.host().now_seconds();
  return creation;
}

/// newseg().
Reply create(const ShmCall& call, Caller& caller, Registry& registry) {
  caller.secure();
  registry.settle();
  std::optional<Reservation> reservation;
  if (auto answer = reserve(call, caller, registry, reservation)) return std::move(*answer);
  Denial denial;
  const auto backing = backing_for(call, caller, registry, denial);
  if (!backing) return Reply(backing.error(), denial);
  auto memory = make_memory(*backing, caller, registry, denial);
  if (!memory) return Reply(memory.error(), denial);
  Segment::Creation creation = creation_of(call, caller, registry);
  std::shared_ptr<Segment> segment;  // where it is refused it goes when the lock is free
  return carry_out(caller, registry,
                   [&](const RegistryState& state, Denial& none_left) -> Result<Decision> {
                     const Result<FreeId> free = state.next_id();
                     if (!free) {
                       none_left = {Denial::Reason::kShmmni, state.limits().shmmni, 1,
                                    static_cast<std::uint64_t>(state.in_use())};
                     }
                     if (!free && state.full()) return free.error();
                     if (!free) return Decision{-std::int64_t{free.error().value()}, SetNextId{-1}};
                     creation.id = free->id;
                     segment = std::make_shared<Segment>(std::move(creation), std::move(*memory));
                     return Decision{free->id, InsertSegment{*free, segment}};
                   });
}

}  // namespace

Reply shmget(const ShmCall& call, Caller& caller, Registry& registry) {
  if (call.key != abi::kIpcPrivate) {
    registry.settle_key(call.key);
    const Registry::ReadGuard state = registry.read();
    if (auto existing = use_existing(call, caller, *state)) return std::move(*existing);
    if ((call.shmflg & abi::kIpcCreat) == 0) return Errno(ENOENT);
  }
  return create(call, caller, registry);
}

}  // namespace shmvisor
