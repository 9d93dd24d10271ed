// The instruction that enters the kernel has two bytes: `syscall`, or `int $0x80`. The latter also
// precedes the place in the vdso to which `sysenter` returns. So going back by two bytes enters
// again in whatever mode the thread is.
#include "supervisor/inject/arch/registers.h"

#include <elf.h>
#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>

#include "policy/base/error_result.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kEnteringInstructionBytes = 2;
/// orig_rax of a task that is in no system call: nothing is restarted when a signal is handled.
constexpr std::uint64_t kNoCall = ~std::uint64_t{0};
/// __USER_CS of arch/x86/include/asm/segment.h: of 64-bit code.
constexpr std::uint64_t kUserCs = 0x33;
constexpr std::uint64_t kTrapFlag = 0x100;
/// The System V ABI for x86-64, "red zone".
constexpr std::uint64_t kRedZoneBytes = 128;

using Register = unsigned long long user_regs_struct::*;

/// How calls of one ABI are made.
struct Convention {
  std::uint32_t audit_architecture;
  std::array<Register, 6> arguments;
  std::uint64_t argument_mask;
  /// So many arguments are in their registers still when the call was notified: for i386 the sixth,
  /// ebp, holds the stack pointer where the vdso entered the kernel.
  std::size_t arguments_kept;
};

using Raw = user_regs_struct;
constexpr Convention kX86_64Convention = {
    AUDIT_ARCH_X86_64,
    {&Raw::rdi, &Raw::rsi, &Raw::rdx, &Raw::r10, &Raw::r8, &Raw::r9},
    ~std::uint64_t{0},
    6};
constexpr Convention kI386Convention = {
    AUDIT_ARCH_I386,
    {&Raw::rbx, &Raw::rcx, &Raw::rdx, &Raw::rsi, &Raw::rdi, &Raw::rbp},
    0xffffffffU,
    5};

const Convention& convention_of(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return kX86_64Convention;
    case Abi::kI386:
      return kI386Convention;
  }
  __builtin_unreachable();
}

const Convention* convention_of_architecture(std::uint32_t audit_architecture) {
  for (const Convention* known : {&kX86_64Convention, &kI386Convention}) {
    if (known->audit_architecture == audit_architecture) return known;
  }
  return nullptr;
}

/// Whether the first `count` arguments in registers are `others`.
bool same_arguments(const Raw& raw, const Convention& convention, std::size_t count,
                    const std::uint64_t* others) {
  for (std::size_t at = 0; at < count; ++at) {
    if (((raw.*convention.arguments.at(at) ^ others[at]) & convention.argument_mask) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<Registers> Registers::read(pid_t tid) {
  Raw raw{};
  if (::ptrace(PTRACE_GETREGS, tid, nullptr, &raw) != 0) return Errno::current();
  return Registers(raw);
}

bool Registers::write_to(pid_t tid) const {
  Raw raw = raw_;
  // The kernel shows 64-bit code as user_regs_struct, to PTRACE_SETREGSET too
  // (task_user_regset_view() of arch/x86/kernel/ptrace.c).
  if (raw.cs != kUserCs) return ::ptrace(PTRACE_SETREGS, tid, nullptr, &raw) == 0;
  // Those that we never change, the segments among them, take half of the time.
  iovec changed{&raw, offsetof(Raw, cs)};
  return ::ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &changed) == 0;
}

// The kernel goes back when it lets the thread go, and not before.
Registers Registers::leaving(const seccomp_data& /*data*/, std::int64_t /*order*/) const {
  return *this;
}

std::int64_t Registers::result(Abi abi) const {
  switch (abi) {
    case Abi::kX86_64:
      return static_cast<std::int64_t>(raw_.rax);
    case Abi::kI386: {
      // A 32-bit result is an errno when it is negative as an int, an address otherwise.
      const auto narrow = static_cast<std::uint32_t>(raw_.rax);
      const auto as_int = static_cast<std::int32_t>(narrow);
      return is_error_result(as_int) ? std::int64_t{as_int} : std::int64_t{narrow};
    }
  }
  __builtin_unreachable();
}

std::uint64_t Registers::instruction_pointer() const { return raw_.rip; }

bool Registers::steps() const { return (raw_.eflags & kTrapFlag) != 0; }

Abi Registers::abi() const { return raw_.cs == kUserCs ? Abi::kX86_64 : Abi::kI386; }

bool Registers::would_enter_by(std::span<const std::byte> code) const {
  constexpr std::array kSyscall = {std::byte{0x0f}, std::byte{0x05}};
  constexpr std::array kInt80 = {std::byte{0xcd}, std::byte{0x80}};
  // From 64-bit code the other one would make an i386 call.
  const auto& wanted = abi() == Abi::kX86_64 ? kSyscall : kInt80;
  return code.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), code.begin());
}

Registers Registers::behind_entry_at(std::uint64_t address) const {
  Registers next = *this;
  next.raw_.rip = address + kEnteringInstructionBytes;
  return next;
}

std::uint64_t Registers::entry() const { return raw_.rip - kEnteringInstructionBytes; }

std::uint64_t Registers::below_stack(std::size_t size) const {
  constexpr std::uint64_t kAlignment = 16;
  return (raw_.rsp - kRedZoneBytes - size) & ~(kAlignment - 1);
}

Registers Registers::entering(Abi abi, RemoteCall call,
                              const std::array<std::uint64_t, 6>& arguments) const {
  Registers next = *this;
  next.raw_.rip -= kEnteringInstructionBytes;
  next.raw_.rax = call_number(abi, call);
  next.raw_.orig_rax = kNoCall;
  const Convention& convention = convention_of(abi);
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    next.raw_.*convention.arguments.at(at) = arguments.at(at);
  }
  return next;
}

bool Registers::enters(Abi abi, std::uint32_t audit_architecture, std::uint64_t number,
                       std::span<const std::uint64_t, 6> arguments) const {
  const Convention& convention = convention_of(abi);
  return convention.audit_architecture == audit_architecture && number == raw_.rax &&
         same_arguments(raw_, convention, arguments.size(), arguments.data());
}

Registers Registers::repeating() const {
  Registers next = *this;
  next.raw_.rip -= kEnteringInstructionBytes;
  next.raw_.rax = raw_.orig_rax;
  next.raw_.orig_rax = kNoCall;
  return next;
}

bool Registers::is_in(const seccomp_data& data) const {
  if (raw_.rip != data.instruction_pointer || static_cast<int>(raw_.orig_rax) != data.nr) {
    return false;
  }
  const Convention* const convention = convention_of_architecture(data.arch);
  if (convention == nullptr) return false;
  std::array<std::uint64_t, 6> arguments{};
  std::copy(std::begin(data.args), std::end(data.args), arguments.begin());
  return same_arguments(raw_, *convention, convention->arguments_kept, arguments.data());
}

Registers Registers::with_last_argument(Abi abi, std::uint64_t value) const {
  Registers next = *this;
  const Convention& convention = convention_of(abi);
  auto& last = next.raw_.*convention.arguments.back();
  // 64-bit code may make a call of 32 bits, and has the rest still.
  last = (last & ~convention.argument_mask) | (value & convention.argument_mask);
  return next;
}

Registers Registers::ordered(std::int64_t order) const {
  Registers next = *this;
  next.raw_.rax = static_cast<std::uint64_t>(order);
  return next;
}

Registers Registers::returning(std::int64_t result) const {
  Registers next = *this;
  next.raw_.rax = static_cast<std::uint64_t>(result);
  next.raw_.orig_rax = kNoCall;
  return next;
}

}  // namespace shmvisor
