#include "supervisor/inject/arch/seize_call.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>

// ptrace(PTRACE_SEIZE, tid, 0, options). The numbers stand in the text.
static_assert(PTRACE_SEIZE == 0x4206 && SYS_ptrace == 101);
asm(R"(
  .text
  .hidden shmvisor_seize, shmvisor_seize_call, shmvisor_seize_over
  .globl shmvisor_seize, shmvisor_seize_call, shmvisor_seize_over
  .type shmvisor_seize, @function
shmvisor_seize:
  .cfi_startproc
  movq %rsi, %r10
  movq %rdi, %rsi
  movl $0x4206, %edi
  xorl %edx, %edx
  movl $101, %eax
shmvisor_seize_call:
  syscall
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

void skip_seize_call(void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (registers[REG_RIP] != reinterpret_cast<greg_t>(shmvisor_seize_call)) return;
  registers[REG_RIP] = reinterpret_cast<greg_t>(shmvisor_seize_over);
  registers[REG_RAX] = -EAGAIN;
}

}  // namespace shmvisor
