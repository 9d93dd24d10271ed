// RawRegisters of aarch64: what PTRACE_GETREGSET gives of a program of either width, and what that
// does not give.
//
// Thread rule: plain values.
#pragma once

#include <sys/user.h>

#include <cstdint>

namespace shmvisor {

struct RawRegisters {
  /// Of an arm program r0 to r14 are regs[0] to regs[14], and pstate is its cpsr.
  user_regs_struct user{};
  bool is_arm = false;
  /// In user.regs[0] is an order to repeat the call, which the kernel has carried out already: it
  /// has gone back to the instruction that enters the kernel, with first_argument.
  bool repeats = false;
  std::uint64_t first_argument = 0;
};

}  // namespace shmvisor
