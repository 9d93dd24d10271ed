// shmctl(2): ksys_shmctl() of ipc/shm.c, checks in its order.
#include <algorithm>

#include "emulation/abi/abi.h"
#include "emulation/syscalls/shm_call.h"

namespace shmvisor {
namespace {

/// Answers `value` after `bytes`, which are `contents`, were copied to the caller's buffer.
Reply copy_out(const ShmCall& call, Caller& caller, const AbiBytes& bytes,
               const ShmctlContents& contents, std::int64_t value) {
  if (const auto copied = caller.copy_to_user(call.address, bytes.view()); !copied) {
    return copied.error();
  }
  Reply reply(value);
  reply.note_contents(contents);
  return reply;
}

/// ipc_get_maxidx(), with 0 for "none" as shmctl() answers it.
std::int64_t max_index_or_zero(const RegistryState& state) {
  return std::max(state.max_index(), 0);
}

Reply ipc_info(const ShmCall& call, Caller& caller, Registry& registry) {
  registry.settle();
  ShmInfoLimits info;
  std::int64_t max_index = 0;
  {
    const Registry::ReadGuard state = registry.read();
    const Limits& limits = state->limits();
    info.shmmax = limits.shmmax;
    info.shmmin = Limits::shmmin;
    info.shmmni = info.shmseg = static_cast<std::uint64_t>(limits.shmmni);
    info.shmall = limits.shmall;
    max_index = max_index_or_zero(*state);
  }
  return copy_out(call, caller, encode_shminfo(call.abi, call.version, info), info, max_index);
}

Reply shm_info(const ShmCall& call, Caller& caller, Registry& registry) {
  caller.long_step();  // looks at every segment
  registry.settle();
  ShmInfoUsage info;
  const PageUsage usage = registry.usage();
  info.rss_pages = usage.resident;
  info.swp_pages = usage.swapped;
  std::int64_t max_index = 0;
  {
    const Registry::ReadGuard state = registry.read();
    info.used_ids = state->in_use();
    info.tot_pages = state->total_pages();
    max_index = max_index_or_zero(*state);
  }
  return copy_out(call, caller, encode_shm_info(call.abi, info), info, max_index);
}

/// A segment, and what IPC_STAT answers but for shm_nattch.
struct Described {
  std::shared_ptr<Segment> segment;
  ShmidDs ds;
};
Result<Described> describe(const ShmCall& call, Caller& caller, const Registry& registry,
                           Denial& denial) {
  const Registry::ReadGuard state = registry.read();
  const auto found =
      call.command == abi::kIpcStat ? state->find(call.shmid) : state->find_index(call.shmid);
  if (!found) return found.error();
  const IpcPerm& perm = state->of(**found).perm;
  if (call.command != abi::kShmStatAny && !ipcperms(perm, caller.subject(), 0444)) {
    denial = Denial::by_mode(perm.mode, 0444);
    return Errno(EACCES);
  }
  return Described{*found, state->describe(**found, caller.viewpoint())};
}

/// Of a segment that is in use.
Result<std::uint64_t> count_attaches(const std::shared_ptr<Segment>& segment, Caller& caller,
                                     const Registry& registry) {
  Host& host = registry.host();
  const FileIdentity file = segment->memory().identity();
  const pid_t waiting = caller.waiting_process();
  if (const auto at_once = host.count_at_once(file, waiting)) return *at_once;
  // A walk through the processes: nobody else shall wait for it where they are many.
  host.counting_takes_long() ? caller.long_step() : caller.short_step();
  const auto counted = registry.count_attaches({&segment, 1}, waiting);
  if (!counted) return counted.error();
  return counted->front();
}

/// IPC_STAT, SHM_STAT and SHM_STAT_ANY.
Reply stat(const ShmCall& call, Caller& caller, Registry& registry) {
  const bool by_id = call.command == abi::kIpcStat;
  by_id ? registry.settle_id(call.shmid) : registry.settle_index(call.shmid);
  Denial denial;
  Result<Described> described = describe(call, caller, registry, denial);
  if (!described) return Reply(described.error(), denial);
  auto& [segment, ds] = *described;
  if (segment->in_use()) {
    const auto counted = count_attaches(segment, caller, registry);
    if (!counted) return counted.error();
    ds.nattch = *counted;
  }
  return copy_out(call, caller, encode_shmid_ds(call.abi, call.version, ds), ds,
                  by_id ? 0 : segment->id());
}

/// ipcctl_obtain_check(): the segment, where the caller may change or remove it.
Result<std::shared_ptr<Segment>> find_to_control(const ShmCall& call, Caller& caller,
                                                 const RegistryState& state, Denial& denial) {
  const auto found = state.find(call.shmid);
  if (!found) return found.error();
  const IpcPerm& perm = state.of(**found).perm;
  if (may_control(perm, caller.subject())) return *found;
  denial = {Denial::Reason::kOwner, perm.uid, 0, 0};
  return Errno(EPERM);
}

Reply ipc_set(const ShmCall& call, Caller& caller, Registry& registry) {
  AbiBytes buffer(shmid_ds_size(call.abi, call.version));
  if (const auto copied = caller.copy_from_user(call.address, buffer.writable()); !copied) {
    return copied.error();
  }
  const IpcSetRequest wanted = decode_ipc_set(call.abi, call.version, buffer.view());

  caller.secure();
  registry.settle_id(call.shmid);
  Reply reply = carry_out(
      caller, registry, [&](const RegistryState& state, Denial& denial) -> Result<Decision> {
        const auto found = find_to_control(call, caller, state, denial);
        if (!found) return found.error();
        const auto uid = caller.viewpoint().mean_uid(wanted.uid);
        const auto gid = caller.viewpoint().mean_gid(wanted.gid);
        if (!uid || !gid) return Errno(EINVAL);
        return Decision{
            0, SetPermissions{*found, *uid, *gid, wanted.mode, registry.host().now_seconds()}};
      });
  reply.note_contents(wanted);
  return reply;
}

Reply ipc_rmid(const ShmCall& call, Caller& caller, Registry& registry) {
  caller.secure();
  registry.settle_id(call.shmid);
  return carry_out(caller, registry,
                   [&](const RegistryState& state, Denial& denial) -> Result<Decision> {
                     const auto found = find_to_control(call, caller, state, denial);
                     if (!found) return found.error();
                     return Decision{0, RemoveSegment{*found}};
                   });
}

/// user_shm_lock() of mm/mlock.c: what one user may lock.
bool may_lock_more(const Segment& segment, Caller& caller, const Registry& registry,
                   Denial& denial) {
  const std::uint64_t limit_bytes = caller.memlock_limit_bytes();
  if (limit_bytes == UINT64_MAX) return true;
  const std::uint64_t locked = registry.locked_pages(caller.subject().uid());
  const std::uint64_t limit = limit_bytes / kPageBytes;
  if (locked + segment.size_pages() <= limit ||
      caller.subject().capable_over_machine(Capability::kIpcLock)) {
    return true;
  }
  denial = {Denial::Reason::kMemlock, limit, segment.size_pages(), locked};
  return false;
}

/// shmctl_do_lock().
Result<Decision> decide_lock(const ShmCall& call, Caller& caller, const Registry& registry,
                             const RegistryState& state, Denial& denial) {
  const bool lock = call.command == abi::kShmLock;
  const auto found = state.find(call.shmid);
  if (!found) return found.error();
  const std::shared_ptr<Segment>& segment = *found;
  const IpcPerm& perm = state.of(*segment).perm;
  if (!caller.subject().capable(Capability::kIpcLock)) {
    if (!owns(perm, caller.subject())) {
      denial = {Denial::Reason::kOwner, perm.uid, 0, 0};
      return Errno(EPERM);
    }
    if (lock && caller.memlock_limit_bytes() == 0) {
      denial = {Denial::Reason::kMemlock, 0, segment->size_pages(), 0};
      return Errno(EPERM);
    }
  }
  if (segment->memory().is_huge()) return Decision{};  // never swapped: nothing to do
  if (lock == ((perm.mode & abi::kShmLocked) != 0)) return Decision{};
  if (lock && !may_lock_more(*segment, caller, registry, denial)) return Errno(ENOMEM);
  return Decision{0, SetLocked{segment, lock, caller.subject().uid()}};
}

Reply lock_or_unlock(const ShmCall& call, Caller& caller, Registry& registry) {
  caller.secure();
  registry.settle_id(call.shmid);
  std::shared_ptr<Segment> changed;
  Reply reply = carry_out(caller, registry,
                          [&](const RegistryState& state, Denial& denial) -> Result<Decision> {
                            auto decision = decide_lock(call, caller, registry, state, denial);
                            if (decision && decision->change)
                              changed = std::get<SetLocked>(*decision->change).segment;
                            return decision;
                          });
  if (changed == nullptr) return reply;
  // Brings in what is there already, which may be much.
  caller.long_step();
  changed->renew_lock([&] { return registry.lock_mode(*changed); });
  return reply;
}

}  // namespace

Reply shmctl(const ShmCall& call, Caller& caller, Registry& registry) {
  if (call.command < 0 || call.shmid < 0) return Errno(EINVAL);
  switch (call.command) {
    case abi::kIpcInfo:
      return ipc_info(call, caller, registry);
    case abi::kShmInfo:
      return shm_info(call, caller, registry);
    case abi::kIpcStat:
    case abi::kShmStat:
    case abi::kShmStatAny:
      return stat(call, caller, registry);
    case abi::kIpcSet:
      return ipc_set(call, caller, registry);
    case abi::kIpcRmid:
      return ipc_rmid(call, caller, registry);
    case abi::kShmLock:
    case abi::kShmUnlock:
      return lock_or_unlock(call, caller, registry);
    default:
      return Errno(EINVAL);
  }
}

}  // namespace shmvisor
