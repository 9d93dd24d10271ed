#include "supervisor/inject/registers.h"

#include <linux/audit.h>

#include <algorithm>
#include <iterator>

#include "policy/base/error_result.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kEnteringInstructionBytes = 2;
/// orig_rax of a task that is in no system call: nothing is restarted when a signal is handled.
constexpr std::uint64_t kNoCall = ~std::uint64_t{0};

std::uint64_t number_of(Abi abi, RemoteCall call) {
  const bool i386 = abi == Abi::kI386;
  switch (call) {
    case RemoteCall::kMmap:
      return i386 ? 192 : 9;  // i386: mmap2, whose offset counts pages
    case RemoteCall::kMunmap:
      return i386 ? 91 : 11;
    case RemoteCall::kClose:
      return i386 ? 6 : 3;
    case RemoteCall::kClone:
      return i386 ? 120 : 56;
    case RemoteCall::kShmdt:
      return i386 ? 398 : 67;
    case RemoteCall::kExitGroup:
      return i386 ? 252 : 231;
    case RemoteCall::kWait4:
      return i386 ? 114 : 61;
    case RemoteCall::kMlock2:
      return i386 ? 376 : 325;
    case RemoteCall::kMunlock:
      return i386 ? 151 : 150;
    case RemoteCall::kPrlimit64:
      return i386 ? 340 : 302;
  }
  return kNoCall;
}

}  // namespace

std::int64_t Registers::result(Abi abi) const {
  if (abi == Abi::kX86_64) return static_cast<std::int64_t>(raw_.rax);
  // A 32-bit result is an errno when it is negative as an int, an address otherwise.
  const auto narrow = static_cast<std::uint32_t>(raw_.rax);
  const auto as_int = static_cast<std::int32_t>(narrow);
  return is_error_result(as_int) ? std::int64_t{as_int} : std::int64_t{narrow};
}

Registers Registers::entering(Abi abi, RemoteCall call,
                              const std::array<std::uint64_t, 6>& arguments) const {
  Registers next = *this;
  user_regs_struct& raw = next.raw_;
  raw.rip -= kEnteringInstructionBytes;
  raw.rax = number_of(abi, call);
  raw.orig_rax = kNoCall;
  if (abi == Abi::kI386) {
    raw.rbx = arguments[0];
    raw.rcx = arguments[1];
    raw.rdx = arguments[2];
    raw.rsi = arguments[3];
    raw.rdi = arguments[4];
    raw.rbp = arguments[5];
  } else {
    raw.rdi = arguments[0];
    raw.rsi = arguments[1];
    raw.rdx = arguments[2];
    raw.r10 = arguments[3];
    raw.r8 = arguments[4];
    raw.r9 = arguments[5];
  }
  return next;
}

Registers Registers::entering_at(std::uint64_t instruction_pointer, RemoteCall call,
                                 const std::array<std::uint64_t, 6>& arguments) const {
  Registers next = entering(Abi::kX86_64, call, arguments);
  next.raw_.rip = instruction_pointer;
  return next;
}

Registers Registers::at(std::uint64_t instruction_pointer) const {
  Registers next = *this;
  next.raw_.rip = instruction_pointer;
  return next;
}

Registers Registers::with_rbx(std::uint64_t value) const {
  Registers next = *this;
  next.raw_.rbx = value;
  return next;
}

bool Registers::enters(Abi abi, std::uint64_t number,
                       std::span<const std::uint64_t, 6> arguments) const {
  const bool i386 = abi == Abi::kI386;
  const std::array<std::uint64_t, 6> ours =
      i386
          ? std::array<std::uint64_t, 6>{raw_.rbx, raw_.rcx, raw_.rdx, raw_.rsi, raw_.rdi, raw_.rbp}
          : std::array<std::uint64_t, 6>{raw_.rdi, raw_.rsi, raw_.rdx, raw_.r10, raw_.r8, raw_.r9};
  const std::uint64_t mask = i386 ? 0xffffffffU : ~std::uint64_t{0};
  bool same = number == raw_.rax;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    same = same && (ours[i] & mask) == (arguments[i] & mask);
  }
  return same;
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
  if (data.arch == AUDIT_ARCH_I386) {
    // The sixth, ebp, holds the stack pointer where the vdso entered the kernel.
    const std::array<std::uint64_t, 5> arguments = {raw_.rbx, raw_.rcx, raw_.rdx, raw_.rsi,
                                                    raw_.rdi};
    return std::equal(arguments.begin(), arguments.end(), std::begin(data.args),
                      [](std::uint64_t one, std::uint64_t other) {
                        return static_cast<std::uint32_t>(one) == static_cast<std::uint32_t>(other);
                      });
  }
  const std::array<std::uint64_t, 6> arguments = {raw_.rdi, raw_.rsi, raw_.rdx,
                                                  raw_.r10, raw_.r8,  raw_.r9};
  return std::equal(arguments.begin(), arguments.end(), std::begin(data.args));
}

Registers Registers::returning(std::int64_t result) const {
  Registers next = *this;
  next.raw_.rax = static_cast<std::uint64_t>(result);
  next.raw_.orig_rax = kNoCall;
  return next;
}

}  // namespace shmvisor
