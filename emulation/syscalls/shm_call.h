// ShmCall: a system call of ours, decoded; and the one way in, from numbers to a Reply.
//
// x86-64 has shmget, shmat, shmctl and shmdt. i386 has them too, and the multiplexer ipc(2), whose
// calls differ: shmat writes its address through a pointer, shmctl's command carries the version.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "emulation/abi/shm_abi.h"
#include "emulation/shm/registry.h"
#include "emulation/syscalls/caller.h"
#include "emulation/syscalls/reply.h"

namespace shmvisor {

enum class ShmOperation : std::uint8_t { kShmget, kShmat, kShmdt, kShmctl };

struct ShmCall {
  Abi abi = Abi::kX86_64;
  ShmOperation operation = ShmOperation::kShmget;
  IpcVersion version = IpcVersion::kIpc64;

  key_t key = 0;                 ///< shmget
  int shmid = 0;                 ///< shmat, shmctl
  std::uint64_t size_bytes = 0;  ///< shmget
  int shmflg = 0;                ///< shmget, shmat
  int command = 0;               ///< shmctl
  std::uint64_t address = 0;     ///< shmat, shmdt: shmaddr; shmctl: buf
  /// ipc(SHMAT): where the attach address is written; the call itself then answers 0.
  std::optional<std::uint64_t> result_address;
};

/// Number and arguments as seccomp_data shows them.
struct RawCall {
  Abi abi = Abi::kX86_64;
  int number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

/// unshare(2) or setns(2): not ours to answer, but what we know of the thread's namespaces is void.
[[nodiscard]] bool changes_namespaces(const RawCall& raw);
/// clone(2) with a new IPC namespace for the child: not ours to answer either. Of clone3(2) nothing
/// shows that.
[[nodiscard]] bool makes_ipc_namespace_for_child(const RawCall& raw);
/// Of unshare(2) or setns(2): whether it may go to another IPC namespace, or to where one shows
/// differently.
[[nodiscard]] bool may_change_ipc_namespace(const RawCall& raw);

/// Of such a call: whether the thread's segments have no creator any more where it succeeds, which
/// ksys_unshare() sees to, but setns(2) does not.
[[nodiscard]] bool may_leave_segments(const RawCall& raw);

/// ENOSYS for a number that is not ours; EINVAL for ipc(2)'s iBCS2 form of shmat.
[[nodiscard]] Result<ShmCall> decode(const RawCall& raw);

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

/// For shmat and shmdt, where the caller finds the result: makes `change` to `segment`, which is
/// taken back if it does not.
Reply left_to_caller(const std::shared_ptr<Segment>& segment, Segment::Change change,
                     const MappingActor& by);

/// The caller has unmapped `segment`: drops it and frees its memory if that was the end of it.
void drop_detached(const std::shared_ptr<Segment>& segment, MappingSpace& space,
                   SegmentFiles& files);

// One file each.
Reply shmget(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmat(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmdt(const ShmCall& call, Caller& caller, Registry& registry);
Reply shmctl(const ShmCall& call, Caller& caller, Registry& registry);

}  // namespace shmvisor
