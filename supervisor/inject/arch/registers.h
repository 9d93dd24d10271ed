// Registers: those of a stopped thread, and how a system call is put into them.
//
// A thread that stopped on its way out of a system call has its instruction pointer right behind
// the instruction that entered the kernel. Going back by that instruction therefore makes it run
// another call of the same ABI. On some architectures the kernel has gone back already, where the
// call is to be repeated: see leaving().
//
// Implemented once for each architecture, in a folder beside this file, over RawRegisters. Nothing
// else in inject/ names a register.
//
// Thread rule: plain values; read() and write_to() on the tracing thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"
#include "supervisor/inject/arch/raw_registers.h"
#include "supervisor/inject/arch/remote_call.h"

namespace shmvisor {

class Registers {
 public:
  explicit Registers(const RawRegisters& raw) : raw_(raw) {}

  /// Of a thread that the calling thread traces. Errors: ptrace(2)'s, ESRCH where the thread has
  /// not stopped.
  static Result<Registers> read(pid_t tid);
  /// Gives them to such a thread. False where it has not stopped, or has died.
  [[nodiscard]] bool write_to(pid_t tid) const;

  [[nodiscard]] const RawRegisters& raw() const { return raw_; }
  /// These registers, of a thread that stopped on its way out of the call `data`, as x86-64 has
  /// them: behind the instruction that entered the kernel. Where the kernel has gone back to it, to
  /// repeat the call, the result is `order`, which stands for whatever order that was.
  [[nodiscard]] Registers leaving(const seccomp_data& data, std::int64_t order) const;
  /// What a call returned: a value, or an errno negated.
  [[nodiscard]] std::int64_t result(Abi abi) const;
  [[nodiscard]] std::uint64_t instruction_pointer() const;
  /// Whether the thread stops after each instruction.
  [[nodiscard]] bool steps() const;
  /// Where in the stack nothing is that the thread still needs: `size` bytes, aligned to 16, beyond
  /// what the ABI lets a function use without having reserved it.
  [[nodiscard]] std::uint64_t below_stack(std::size_t size) const;

  /// Of the code that the thread runs.
  [[nodiscard]] Abi abi() const;
  /// Whether `code` begins with an instruction that enters the kernel from that code.
  [[nodiscard]] bool would_enter_by(std::span<const std::byte> code) const;
  /// These registers, as if the thread had entered the kernel by the instruction at `address`.
  [[nodiscard]] Registers behind_entry_at(std::uint64_t address) const;
  /// The place of the instruction by which it entered the kernel, where it did.
  [[nodiscard]] std::uint64_t entry() const;

  /// These registers, about to make `call`. The arguments are mmap(2)'s and so on.
  [[nodiscard]] Registers entering(Abi abi, RemoteCall call,
                                   const std::array<std::uint64_t, 6>& arguments) const;
  /// Whether these registers, from entering(), make the call that a tracer sees entered:
  /// `audit_architecture` is AUDIT_ARCH_* of <linux/audit.h>.
  [[nodiscard]] bool enters(Abi abi, std::uint32_t audit_architecture, std::uint64_t number,
                            std::span<const std::uint64_t, 6> arguments) const;
  /// These registers, about to make the call anew that stopped them. Precondition: is_in() it.
  [[nodiscard]] Registers repeating() const;
  /// Whether these are the registers of a thread that is on its way out of the call `data`, and has
  /// run no instruction since.
  [[nodiscard]] bool is_in(const seccomp_data& data) const;
  /// These registers, on the way out of the same call with another last argument, the sixth.
  [[nodiscard]] Registers with_last_argument(Abi abi, std::uint64_t value) const;
  /// These registers, which find `order` to repeat the call. What that means is decided when the
  /// thread goes on; where the kernel has gone back already it is decided.
  [[nodiscard]] Registers ordered(std::int64_t order) const;
  /// These registers, returning `result` from the call that stopped them, not to be restarted.
  [[nodiscard]] Registers returning(std::int64_t result) const;

 private:
  RawRegisters raw_;
};

}  // namespace shmvisor
