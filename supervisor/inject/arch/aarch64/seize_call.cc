#include "supervisor/inject/arch/seize_call.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>

// ptrace(PTRACE_SEIZE, tid, 0, options). The numbers stand in the text. `hint 34` is `bti c`.
static_assert(PTRACE_SEIZE == 0x4206 && SYS_ptrace == 117);
asm(R"(
  .text
  .balign 4
  .hidden shmvisor_seize, shmvisor_seize_call, shmvisor_seize_over
  .globl shmvisor_seize, shmvisor_seize_call, shmvisor_seize_over
  .type shmvisor_seize, @function
shmvisor_seize:
  .cfi_startproc
  hint #34
  mov x3, x1
  mov x1, x0
  mov x0, #0x4206
  mov x2, #0
  mov x8, #117
shmvisor_seize_call:
  svc #0
shmvisor_seize_over:
  ret
  .cfi_endproc
  .size shmvisor_seize, . - shmvisor_seize
)");

extern "C" {
long shmvisor_seize(long tid, unsigned long options);
extern const char shmvisor_seize_call[];
extern const char shmvisor_seize_over[];
}

namespace shmvisor {

long seize_call(pid_t tid, std::uint64_t options) { return shmvisor_seize(tid, options); }

// A call that is to be made anew has the instruction pointer on it before the handler runs.
void skip_seize_call(void* context) {
  mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  if (machine.pc != reinterpret_cast<std::uint64_t>(shmvisor_seize_call)) return;
  machine.pc = reinterpret_cast<std::uint64_t>(shmvisor_seize_over);
  machine.regs[0] = static_cast<std::uint64_t>(-EAGAIN);
}

}  // namespace shmvisor
