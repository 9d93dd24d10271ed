#include "emulation/syscalls/shm_call.h"

namespace shmvisor {
namespace {

// arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl.
namespace x86_64 {
constexpr int kShmget = 29;
constexpr int kShmat = 30;
constexpr int kShmctl = 31;
constexpr int kShmdt = 67;
constexpr int kClone = 56;
constexpr int kUnshare = 272;
constexpr int kSetns = 308;
constexpr int kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT
}  // namespace x86_64

namespace i386 {
constexpr int kIpc = 117;
constexpr int kShmget = 395;
constexpr int kShmctl = 396;
constexpr int kShmat = 397;
constexpr int kShmdt = 398;
constexpr int kClone = 120;
constexpr int kUnshare = 310;
constexpr int kSetns = 346;
// Sub-calls of ipc(2), include/uapi/linux/ipc.h.
constexpr int kIpcShmat = 21;
constexpr int kIpcShmdt = 22;
constexpr int kIpcShmget = 23;
constexpr int kIpcShmctl = 24;
}  // namespace i386

constexpr std::uint64_t kCloneNewns = 0x00020000;
constexpr std::uint64_t kCloneNewipc = 0x08000000;

/// x32 has unshare(2) and setns(2) by the numbers of x86-64, and its bit.
int namespace_call(const RawCall& raw) {
  return raw.abi == Abi::kX86_64 ? raw.number & ~x86_64::kX32Bit : raw.number;
}

bool unshares(const RawCall& raw) {
  return namespace_call(raw) == (raw.abi == Abi::kX86_64 ? x86_64::kUnshare : i386::kUnshare);
}

int as_int(std::uint64_t argument) {
  return static_cast<int>(static_cast<std::uint32_t>(argument));
}
std::uint64_t as_u32(std::uint64_t argument) { return static_cast<std::uint32_t>(argument); }

ShmCall decode_shmget(Abi abi, std::uint64_t key, std::uint64_t size, std::uint64_t flags) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmget;
  call.key = as_int(key);
  call.size_bytes = abi == Abi::kI386 ? as_u32(size) : size;
  call.shmflg = as_int(flags);
  return call;
}

ShmCall decode_shmat(Abi abi, std::uint64_t id, std::uint64_t address, std::uint64_t flags) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmat;
  call.shmid = as_int(id);
  call.address = abi == Abi::kI386 ? as_u32(address) : address;
  call.shmflg = as_int(flags);
  return call;
}

ShmCall decode_shmdt(Abi abi, std::uint64_t address) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmdt;
  call.address = abi == Abi::kI386 ? as_u32(address) : address;
  return call;
}

ShmCall decode_shmctl(Abi abi, std::uint64_t id, std::uint64_t command, std::uint64_t buffer) {
  ShmCall call;
  call.abi = abi;
  call.operation = ShmOperation::kShmctl;
  call.shmid = as_int(id);
  call.command = as_int(command);
  call.address = abi == Abi::kI386 ? as_u32(buffer) : buffer;
  return call;
}

/// compat_ksys_ipc() of ipc/syscall.c: ipc(call, first, second, third, ptr, fifth).
Result<ShmCall> decode_ipc(const std::array<std::uint64_t, 6>& arguments) {
  const int sub_call = as_int(arguments[0]) & 0xffff;
  const int form = static_cast<int>(as_u32(arguments[0]) >> 16);
  const auto [ignored, first, second, third, pointer, fifth] = arguments;
  switch (sub_call) {
    case i386::kIpcShmat: {
      if (form == 1) return Errno(EINVAL);  // iBCS2 emulator's form
      ShmCall call = decode_shmat(Abi::kI386, first, pointer, second);
      call.result_address = as_u32(third);
      return call;
    }
    case i386::kIpcShmdt:
      return decode_shmdt(Abi::kI386, pointer);
    case i386::kIpcShmget:
      return decode_shmget(Abi::kI386, first, second, third);
    case i386::kIpcShmctl: {
      ShmCall call = decode_shmctl(Abi::kI386, first, second, pointer);
      call.version = (call.command & abi::kIpc64) != 0 ? IpcVersion::kIpc64 : IpcVersion::kOld;
      call.command &= ~abi::kIpc64;
      return call;
    }
    default:
      return Errno(ENOSYS);
  }
}

Result<ShmCall> decode_numbers(const RawCall& raw, int shmget, int shmat, int shmctl, int shmdt) {
  const auto& arguments = raw.arguments;
  if (raw.number == shmget) {
    return decode_shmget(raw.abi, arguments[0], arguments[1], arguments[2]);
  }
  if (raw.number == shmat) {
    return decode_shmat(raw.abi, arguments[0], arguments[1], arguments[2]);
  }
  if (raw.number == shmctl) {
    return decode_shmctl(raw.abi, arguments[0], arguments[1], arguments[2]);
  }
  if (raw.number == shmdt) return decode_shmdt(raw.abi, arguments[0]);
  return Errno(ENOSYS);
}

}  // namespace

bool changes_namespaces(const RawCall& raw) {
  const int setns = raw.abi == Abi::kX86_64 ? x86_64::kSetns : i386::kSetns;
  return unshares(raw) || namespace_call(raw) == setns;
}

bool makes_ipc_namespace_for_child(const RawCall& raw) {
  const int clone = raw.abi == Abi::kX86_64 ? x86_64::kClone : i386::kClone;
  return raw.number == clone && (raw.arguments[0] & kCloneNewipc) != 0;
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
  if (raw.abi == Abi::kX86_64) {
    return decode_numbers(raw, x86_64::kShmget, x86_64::kShmat, x86_64::kShmctl, x86_64::kShmdt);
  }
  if (raw.number == i386::kIpc) return decode_ipc(raw.arguments);
  return decode_numbers(raw, i386::kShmget, i386::kShmat, i386::kShmctl, i386::kShmdt);
}

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
