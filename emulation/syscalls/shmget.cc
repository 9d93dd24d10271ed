// shmget(2): ksys_shmget(), ipcget() and newseg() of ipc/shm.c and ipc/util.c, checks in their
// order.
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "emulation/syscalls/shm_call.h"

namespace shmvisor {
namespace {

std::string segment_name(key_t key) {
  std::array<char, 13> name{};
  std::snprintf(name.data(), name.size(), "SYSV%08x", static_cast<unsigned>(key));
  return name.data();
}

/// What newseg() refuses before it allocates anything.
Result<void> check_size(std::uint64_t size_bytes, const Registry& registry) {
  const Limits& limits = registry.limits_locked();
  if (size_bytes < Limits::shmmin || size_bytes > limits.shmmax) return Errno(EINVAL);
  const std::uint64_t pages = (size_bytes + abi::kPageSize - 1) / abi::kPageSize;
  if (pages * abi::kPageSize < size_bytes) return Errno(ENOSPC);
  const std::uint64_t total = registry.total_pages() + pages;
  if (total < pages || total > limits.shmall) return Errno(ENOSPC);
  return {};
}

/// What the flags ask of the memory. Huge pages are for CAP_IPC_LOCK and for one group:
/// hugetlb_file_setup() of fs/hugetlbfs/inode.c.
Result<BackingRequest> backing_for(const ShmCall& call, Caller& caller, const Registry& registry) {
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
    return Errno(EPERM);
  }
  return request;
}

/// ipcget_public()'s half for a key that exists. IPC_PRIVATE is none.
std::optional<Reply> use_existing(const ShmCall& call, Caller& caller, const Registry& registry) {
  if (call.key == abi::kIpcPrivate) return std::nullopt;
  const auto segment = registry.find_key(call.key);
  if (segment == nullptr) return std::nullopt;
  if ((call.shmflg & abi::kIpcCreat) != 0 && (call.shmflg & abi::kIpcExcl) != 0) {
    return Errno(EEXIST);
  }
  if (segment->size_bytes() < call.size_bytes) return Errno(EINVAL);
  if (!ipcperms(segment->perm, caller.subject(), call.shmflg)) return Errno(EACCES);
  return segment->id();
}

/// Until it is free nobody else creates, however long that takes.
std::unique_lock<std::mutex> lock_creation(Caller& caller, const Registry& registry) {
  std::unique_lock lock(registry.creation_mutex(), std::try_to_lock);
  if (!lock.owns_lock()) {
    caller.long_step();
    lock.lock();
  }
  return lock;
}

Result<std::unique_ptr<BackingMemory>> make_memory(const BackingRequest& request, Caller& caller,
                                                   const Registry& registry) {
  SegmentFiles& files = registry.files();
  const bool all_freed = files.all_freed();
  if (request.commit || !all_freed) caller.long_step();
  if (!all_freed) files.wait_until_freed();
  return registry.host().create_memory(request);
}

/// newseg(). The segment enters the registry when the caller has its identifier.
Reply create(const ShmCall& call, Caller& caller, Registry& registry) {
  const auto creating = lock_creation(caller, registry);
  {
    const std::shared_lock look(registry.mutex());
    // Somebody may have created it since we looked; from here on nobody does.
    if (auto existing = use_existing(call, caller, registry)) return std::move(*existing);
    if (const auto size = check_size(call.size_bytes, registry); !size) return size.error();
  }
  const auto backing = backing_for(call, caller, registry);
  if (!backing) return backing.error();
  auto memory = make_memory(*backing, caller, registry);
  if (!memory) return memory.error();
  std::unique_lock change(registry.mutex());
  const Result<FreeId> free = registry.next_id();
  if (!free && registry.full()) return free.error();
  if (!free) {
    // ipc_idr_alloc() takes kernel.shm_next_id back before it looks for a free index.
    return Reply(-std::int64_t{free.error().value()}, std::move(change),
                 [&registry] { registry.set_next_id_hint(-1); });
  }

  Segment::Birth birth;
  birth.id = free->id;
  birth.perm.key = call.key;
  birth.perm.uid = birth.perm.cuid = caller.subject().euid();
  birth.perm.gid = birth.perm.cgid = caller.subject().egid();
  birth.perm.mode = static_cast<mode_t>(call.shmflg) & abi::kPermissionBits;
  birth.size_bytes = call.size_bytes;
  birth.cpid = caller.process();
  birth.creator = caller.thread();
  birth.now_seconds = registry.host().now_seconds();
  auto segment = std::make_shared<Segment>(std::move(birth), std::move(*memory));
  return Reply(
      free->id, std::move(change),
      [&registry, free = *free, segment = std::move(segment)] { registry.insert(free, segment); });
}

}  // namespace

Reply shmget(const ShmCall& call, Caller& caller, Registry& registry) {
  if (call.key != abi::kIpcPrivate) {
    const std::shared_lock look(registry.mutex());
    if (auto existing = use_existing(call, caller, registry)) return std::move(*existing);
    if ((call.shmflg & abi::kIpcCreat) == 0) return Errno(ENOENT);
  }
  return create(call, caller, registry);
}

}  // namespace shmvisor
