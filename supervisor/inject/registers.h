// Registers of a stopped x86-64 task, and how a system call is put into them.
//
// A task that was stopped on its way out of a system call has its instruction pointer just behind a
// two-byte instruction that enters the kernel: `syscall`, or `int $0x80` (also after `sysenter`,
// whose return point in the vdso follows an `int $0x80`). Going back by two bytes therefore runs
// another call of the same ABI, in whatever mode the task is.
//
// Source of the numbers: arch/x86/entry/syscalls/. Thread rule: plain values.
#pragma once

#include <linux/seccomp.h>
#include <sys/user.h>

#include <array>
#include <cstdint>
#include <span>

#include "emulation/abi/shm_abi.h"

namespace shmvisor {

enum class RemoteCall : std::uint8_t {
  kMmap,
  kMunmap,
  kClose,
  kClone,
  kShmdt,
  kExitGroup,
  kWait4,
  kMlock2,
  kMunlock,
  kPrlimit64
};

class Registers {
 public:
  explicit Registers(const user_regs_struct& raw) : raw_(raw) {}

  [[nodiscard]] const user_regs_struct& raw() const { return raw_; }
  [[nodiscard]] std::int64_t result(Abi abi) const;
  [[nodiscard]] std::uint64_t instruction_pointer() const { return raw_.rip; }
  /// Whether it stops after each instruction (the trap flag).
  [[nodiscard]] bool steps() const { return (raw_.eflags & 0x100) != 0; }
  /// Whether the task runs 64-bit code: then the kernel shows it as user_regs_struct, in
  /// PTRACE_SETREGSET too (task_user_regset_view() of arch/x86/kernel/ptrace.c).
  [[nodiscard]] bool in_64_bit_mode() const { return raw_.cs == kUserCs; }

  /// These registers, about to make `call`. The arguments are mmap(2)'s and so on; an offset is 0.
  [[nodiscard]] Registers entering(Abi abi, RemoteCall call,
                                   const std::array<std::uint64_t, 6>& arguments) const;
  /// These registers, about to make `call` by the code at `instruction_pointer`, of a 64-bit task.
  [[nodiscard]] Registers entering_at(std::uint64_t instruction_pointer, RemoteCall call,
                                      const std::array<std::uint64_t, 6>& arguments) const;
  /// The same registers, at another instruction.
  [[nodiscard]] Registers at(std::uint64_t instruction_pointer) const;
  /// The same registers but for rbx.
  [[nodiscard]] Registers with_rbx(std::uint64_t value) const;
  /// Whether these registers, from entering(), make the call that a tracer sees entered.
  [[nodiscard]] bool enters(Abi abi, std::uint64_t number,
                            std::span<const std::uint64_t, 6> arguments) const;
  /// These registers, about to make the call anew that stopped them. Precondition: is_in() it.
  [[nodiscard]] Registers repeating() const;
  /// Whether these are the registers of a thread that is on its way out of the call `data`, and has
  /// run no instruction since.
  [[nodiscard]] bool is_in(const seccomp_data& data) const;
  /// These registers, returning `result` from the call that stopped them, not to be restarted.
  [[nodiscard]] Registers returning(std::int64_t result) const;

 private:
  /// __USER_CS of arch/x86/include/asm/segment.h.
  static constexpr std::uint64_t kUserCs = 0x33;

  user_regs_struct raw_;
};

}  // namespace shmvisor
