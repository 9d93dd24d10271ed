#include "emulation/syscalls/decode.h"

#include "emulation/abi/call_numbers.h"
#include "emulation/abi/shm_abi.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kCloneNewns = 0x00020000;
constexpr std::uint64_t kCloneNewipc = 0x08000000;

/// The number of unshare(2) or setns(2), if it is one of them.
int namespace_call(const RawCall& raw) { return raw.number & ~call_numbers(raw.abi).variant_bits; }

bool unshares(const RawCall& raw) { return namespace_call(raw) == call_numbers(raw.abi).unshare; }

int as_int(std::uint64_t argument) {
  return static_cast<int>(static_cast<std::uint32_t>(argument));
}
/// An address or a size.
std::uint64_t as_wide(Abi abi, std::uint64_t argument) {
  return has_32_bits(abi) ? static_cast<std::uint32_t>(argument) : argument;
}

ShmCall decode_shmget(Abi abi, std::uint64_t key, std::uint64_t size, std::uint64_t flags) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmget;
  call.key = as_int(key);
  call.size_bytes = as_wide(abi, size);
  call.shmflg = as_int(flags);
  return call;
}

ShmCall decode_shmat(Abi abi, std::uint64_t id, std::uint64_t address, std::uint64_t flags) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmat;
  call.shmid = as_int(id);
  call.address = as_wide(abi, address);
  call.shmflg = as_int(flags);
  return call;
}

ShmCall decode_shmdt(Abi abi, std::uint64_t address) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmdt;
  call.address = as_wide(abi, address);
  return call;
}

ShmCall decode_shmctl(Abi abi, std::uint64_t id, std::uint64_t command, std::uint64_t buffer) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmctl;
  call.shmid = as_int(id);
  call.command = as_int(command);
  call.address = as_wide(abi, buffer);
  return call;
}

/// ipc_parse_version() of ipc/util.h.
ShmCall with_version(ShmCall shmctl) {
  shmctl.version = (shmctl.command & abi::kIpc64) != 0 ? IpcVersion::kIpc64 : IpcVersion::kOld;
  shmctl.command &= ~abi::kIpc64;
  return shmctl;
}

/// compat_ksys_ipc() of ipc/syscall.c: ipc(call, first, second, third, ptr, fifth).
Result<ShmCall> decode_ipc(Abi abi, const std::array<std::uint64_t, 6>& arguments) {
  const auto [call, first, second, third, pointer, fifth] = arguments;
  const auto form = static_cast<std::uint32_t>(call) >> ipc_subcall::kVersionShift;
  switch (call & ipc_subcall::kMask) {
    case ipc_subcall::kShmat: {
      if (form == 1) return Errno(EINVAL);  // iBCS2 emulator's form
      ShmCall shmat = decode_shmat(abi, first, pointer, second);
      shmat.result_address = as_wide(abi, third);
      return shmat;
    }
    case ipc_subcall::kShmdt:
      return decode_shmdt(abi, pointer);
    case ipc_subcall::kShmget:
      return decode_shmget(abi, first, second, third);
    case ipc_subcall::kShmctl:
      return with_version(decode_shmctl(abi, first, second, pointer));
    default:
      return Errno(ENOSYS);
  }
}

}  // namespace

bool changes_namespaces(const RawCall& raw) {
  return unshares(raw) || namespace_call(raw) == call_numbers(raw.abi).setns;
}

bool makes_ipc_namespace_for_child(const RawCall& raw) {
  return raw.number == call_numbers(raw.abi).clone && (raw.arguments[0] & kCloneNewipc) != 0;
}

bool may_leave_segments(const RawCall& raw) {
  return unshares(raw) && (raw.arguments[0] & kCloneNewipc) != 0;
}

bool may_change_ipc_namespace(const RawCall& raw) {
  if (unshares(raw)) return may_leave_segments(raw);
  // setns(2): 0 stands for whatever the descriptor is of.
  const std::uint64_t kind = raw.arguments[1] & 0xffffffff;
  return kind == 0 || (kind & (kCloneNewipc | kCloneNewns)) != 0;
}

Result<ShmCall> decode(const RawCall& raw) {
  const CallNumbers& numbers = call_numbers(raw.abi);
  const auto& [first, second, third, fourth, fifth, sixth] = raw.arguments;
  if (raw.number == numbers.shmget) return decode_shmget(raw.abi, first, second, third);
  if (raw.number == numbers.shmat) return decode_shmat(raw.abi, first, second, third);
  if (raw.number == numbers.shmctl) {
    const ShmCall shmctl = decode_shmctl(raw.abi, first, second, third);
    return numbers.shmctl_has_version ? with_version(shmctl) : shmctl;
  }
  if (raw.number == numbers.shmdt) return decode_shmdt(raw.abi, first);
  if (raw.number == numbers.ipc) return decode_ipc(raw.abi, raw.arguments);
  return Errno(ENOSYS);
}

}  // namespace shmvisor
