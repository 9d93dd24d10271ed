// Where a call is to be repeated, the kernel goes back to the instruction that made it, and takes
// the first argument for the result again, before the thread stops for a tracer (do_signal() of
// arch/arm64/kernel/signal.c). What it is to do when the thread goes on is decided by then, so
// nothing but the instruction pointer and NT_ARM_SYSTEM_CALL can change it: -1 there stands for no
// call, and none is repeated then.
//
// At the stops where a thread enters or leaves the kernel x7 (r12) says which of them it is, and
// its own value comes back afterwards. It is given no other one here.
#include "supervisor/inject/arch/registers.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "policy/base/error_result.h"

namespace shmvisor {
namespace {

constexpr int kNoCall = -1;
/// PSR_AA32_T_BIT: of thumb code.
constexpr std::uint64_t kThumbBit = 0x20;
constexpr std::size_t kMostArguments = 6;

/// compat_elf_gregset_t: r0 to r14, pc, cpsr, and the first argument.
using ArmRegisters = std::array<std::uint32_t, 18>;
constexpr std::size_t kArmGeneral = 15;
constexpr std::size_t kArmPc = 15;
constexpr std::size_t kArmCpsr = 16;
constexpr std::size_t kArmFirstArgument = 17;

std::size_t number_register(const RawRegisters& raw) { return raw.is_arm ? 7 : 8; }

std::uint64_t argument_mask(const RawRegisters& raw) {
  return raw.is_arm ? 0xffffffffU : ~std::uint64_t{0};
}

std::uint64_t entering_instruction_bytes(const RawRegisters& raw) {
  return raw.is_arm && (raw.user.pstate & kThumbBit) != 0 ? 2 : 4;
}

RawRegisters from_arm(const ArmRegisters& arm) {
  RawRegisters raw;
  raw.is_arm = true;
  std::copy_n(arm.begin(), kArmGeneral, raw.user.regs);
  raw.user.pc = arm[kArmPc];
  raw.user.pstate = arm[kArmCpsr];
  return raw;
}

ArmRegisters to_arm(const RawRegisters& raw) {
  ArmRegisters arm{};
  for (std::size_t at = 0; at < kArmGeneral; ++at) {
    arm.at(at) = static_cast<std::uint32_t>(raw.user.regs[at]);
  }
  arm[kArmPc] = static_cast<std::uint32_t>(raw.user.pc);
  arm[kArmCpsr] = static_cast<std::uint32_t>(raw.user.pstate);
  arm[kArmFirstArgument] = arm[0];
  return arm;
}

bool set_regset(pid_t tid, int kind, void* data, std::size_t size) {
  iovec part{data, size};
  return ::ptrace(PTRACE_SETREGSET, tid, kind, &part) == 0;
}

/// Whether arguments in registers, from the `first` one on, are `others`.
bool same_arguments(const RawRegisters& raw, std::size_t first,
                    const std::array<std::uint64_t, kMostArguments>& others) {
  for (std::size_t at = first; at < others.size(); ++at) {
    if (((raw.user.regs[at] ^ others.at(at)) & argument_mask(raw)) != 0) return false;
  }
  return true;
}

std::array<std::uint64_t, kMostArguments> arguments_of(const seccomp_data& data) {
  std::array<std::uint64_t, kMostArguments> arguments{};
  std::copy_n(std::begin(data.args), arguments.size(), arguments.begin());
  return arguments;
}

}  // namespace

Result<Registers> Registers::read(pid_t tid) {
  union {
    user_regs_struct wide;
    ArmRegisters arm;
  } read{};
  iovec part{&read, sizeof(read)};
  if (::ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &part) != 0) return Errno::current();
  if (part.iov_len == sizeof(read.arm)) return Registers(from_arm(read.arm));
  RawRegisters raw;
  raw.user = read.wide;
  return Registers(raw);
}

bool Registers::write_to(pid_t tid) const {
  int number = kNoCall;
  if (!set_regset(tid, NT_ARM_SYSTEM_CALL, &number, sizeof(number))) return false;
  RawRegisters next = raw_;
  if (next.repeats) {
    next.user.regs[0] = next.first_argument;
    next.user.pc -= entering_instruction_bytes(next);
  }
  if (!next.is_arm) return set_regset(tid, NT_PRSTATUS, &next.user, sizeof(next.user));
  ArmRegisters arm = to_arm(next);
  return set_regset(tid, NT_PRSTATUS, &arm, sizeof(arm));
}

Registers Registers::leaving(const seccomp_data& data, std::int64_t order) const {
  Registers next = *this;
  RawRegisters& raw = next.raw_;
  const std::uint64_t behind = raw.user.pc + entering_instruction_bytes(raw);
  if (behind != data.instruction_pointer || !same_arguments(raw, 0, arguments_of(data))) {
    return *this;
  }
  raw.repeats = true;
  raw.first_argument = raw.user.regs[0];
  raw.user.regs[0] = static_cast<std::uint64_t>(order);
  raw.user.pc = behind;
  return next;
}

std::int64_t Registers::result(Abi abi) const {
  if (!has_32_bits(abi)) return static_cast<std::int64_t>(raw_.user.regs[0]);
  // A 32-bit result is an errno when it is negative as an int, an address otherwise.
  const auto narrow = static_cast<std::uint32_t>(raw_.user.regs[0]);
  const auto as_int = static_cast<std::int32_t>(narrow);
  return is_error_result(as_int) ? std::int64_t{as_int} : std::int64_t{narrow};
}

std::uint64_t Registers::instruction_pointer() const { return raw_.user.pc; }

// PSTATE.SS is the debugger's alone.
bool Registers::steps() const { return false; }

Abi Registers::abi() const { return raw_.is_arm ? Abi::kArm : Abi::kAarch64; }

bool Registers::would_enter_by(std::span<const std::byte> code) const {
  constexpr std::array kSvc = {std::byte{0x01}, std::byte{0x00}, std::byte{0x00}, std::byte{0xd4}};
  constexpr std::array kArmSvc = {std::byte{0x00}, std::byte{0x00}, std::byte{0x00},
                                  std::byte{0xef}};
  constexpr std::array kThumbSvc = {std::byte{0x00}, std::byte{0xdf}};
  std::span<const std::byte> wanted = kSvc;
  if (raw_.is_arm) wanted = kArmSvc;
  if (entering_instruction_bytes(raw_) == kThumbSvc.size()) wanted = kThumbSvc;
  return code.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), code.begin());
}

Registers Registers::behind_entry_at(std::uint64_t address) const {
  Registers next = *this;
  next.raw_.user.pc = address + entering_instruction_bytes(raw_);
  next.raw_.repeats = false;
  return next;
}

std::uint64_t Registers::entry() const { return raw_.user.pc - entering_instruction_bytes(raw_); }

std::uint64_t Registers::below_stack(std::size_t size) const {
  constexpr std::uint64_t kAlignment = 16;
  const std::uint64_t top = raw_.is_arm ? raw_.user.regs[13] : raw_.user.sp;
  return (top - size) & ~(kAlignment - 1);
}

Registers Registers::entering(Abi /*abi*/, RemoteCall call,
                              const std::array<std::uint64_t, 6>& arguments) const {
  // The instruction at hand makes a call of the code's own ABI, whatever the caller made before.
  Registers next = *this;
  RawRegisters& raw = next.raw_;
  raw.repeats = false;
  raw.user.pc -= entering_instruction_bytes(raw);
  raw.user.regs[number_register(raw)] = call_number(abi(), call);
  std::copy(arguments.begin(), arguments.end(), raw.user.regs);
  return next;
}

bool Registers::enters(Abi abi, std::uint32_t audit_architecture, std::uint64_t number,
                       std::span<const std::uint64_t, 6> arguments) const {
  std::array<std::uint64_t, kMostArguments> entered{};
  std::copy(arguments.begin(), arguments.end(), entered.begin());
  return shmvisor::audit_architecture(abi) == audit_architecture &&
         number == raw_.user.regs[number_register(raw_)] && same_arguments(raw_, 0, entered);
}

Registers Registers::repeating() const {
  Registers next = *this;
  RawRegisters& raw = next.raw_;
  raw.user.pc -= entering_instruction_bytes(raw);
  raw.user.regs[0] = raw.first_argument;
  raw.repeats = false;
  return next;
}

bool Registers::is_in(const seccomp_data& data) const {
  return raw_.user.pc == data.instruction_pointer && abi_of_architecture(data.arch) == abi() &&
         static_cast<int>(raw_.user.regs[number_register(raw_)]) == data.nr &&
         same_arguments(raw_, 1, arguments_of(data));
}

Registers Registers::with_last_argument(Abi /*abi*/, std::uint64_t value) const {
  Registers next = *this;
  auto& last = next.raw_.user.regs[kMostArguments - 1];
  last = (last & ~argument_mask(raw_)) | (value & argument_mask(raw_));
  return next;
}

Registers Registers::ordered(std::int64_t /*order*/) const { return *this; }

Registers Registers::returning(std::int64_t result) const {
  Registers next = *this;
  next.raw_.user.regs[0] = static_cast<std::uint64_t>(result);
  next.raw_.repeats = false;
  return next;
}

}  // namespace shmvisor
