// ShmCall: a system call of ours, decoded from its number and its arguments.
//
// Every ABI has shmget, shmat, shmctl and shmdt. i386 has besides the multiplexer ipc(2), whose
// calls differ: shmat writes its address through a pointer, shmctl's command carries the version.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"

namespace shmvisor {

enum class ShmOperation : std::uint8_t { kShmget, kShmat, kShmdt, kShmctl };

struct ShmCall {
  Abi abi = kNativeAbi;
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
  Abi abi = kNativeAbi;
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

}  // namespace shmvisor
