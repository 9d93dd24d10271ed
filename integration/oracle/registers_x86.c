// A call changes the registers that the system call ABI names and no other, leaves the red zone
// below the stack pointer alone, and keeps floating-point and vector state. So it does for a
// program that steps itself.
#include "transcript.h"

#if !defined(__x86_64__)
#error "written for x86-64"
#endif

struct registers {
  uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15;
  uint64_t flags;
  uint64_t red_zone[16];
  unsigned char xmm[4][16];
};

// Makes the call with known values everywhere and stores what is there afterwards.
static long call_with_known_registers(long number, uint64_t a, uint64_t b, uint64_t c,
                                      struct registers* after) {
  long result;
  struct {
    uint64_t number, a, b, c;
    struct registers* after;
  } arguments = {(uint64_t)number, a, b, c, after};
  __asm__ volatile(
      "pushq %%rbp\n\t"
      "pushq %%rbx\n\t"
      "pushq %[arguments]\n\t"
      "movq (%%rsp), %%rax\n\t"
      "movq 8(%%rax), %%rdi\n\t"
      "movq 16(%%rax), %%rsi\n\t"
      "movq 24(%%rax), %%rdx\n\t"
      "movq 0(%%rax), %%rax\n\t"
      "movq $0x1111, %%rbx\n\t"
      "movq $0x2222, %%rbp\n\t"
      "movq $0x8888, %%r8\n\t"
      "movq $0x9999, %%r9\n\t"
      "movq $0x1010, %%r10\n\t"
      "movq $0x1212, %%r12\n\t"
      "movq $0x1313, %%r13\n\t"
      "movq $0x1414, %%r14\n\t"
      "movq $0x1515, %%r15\n\t"
      "movq %%r12, %%xmm0\n\t"
      "movq %%r13, %%xmm7\n\t"
      "movq %%r14, %%xmm8\n\t"
      "movq %%r15, %%xmm15\n\t"
      // The red zone, 128 bytes below the stack pointer.
      "leaq -128(%%rsp), %%rcx\n\t"
      "1: movq $0x7eed, (%%rcx)\n\t"
      "addq $8, %%rcx\n\t"
      "cmpq %%rsp, %%rcx\n\t"
      "jne 1b\n\t"
      "stc\n\t"
      "syscall\n\t"
      "pushfq\n\t"
      "popq %%r11\n\t"
      // pushfq spoilt the topmost word of the red zone: it is left out below.
      "movq (%%rsp), %%rcx\n\t"
      "movq 32(%%rcx), %%rcx\n\t"
      "movq %%rbx, 0(%%rcx)\n\t"
      "movq %%rdx, 8(%%rcx)\n\t"
      "movq %%rsi, 16(%%rcx)\n\t"
      "movq %%rdi, 24(%%rcx)\n\t"
      "movq %%rbp, 32(%%rcx)\n\t"
      "movq %%r8, 40(%%rcx)\n\t"
      "movq %%r9, 48(%%rcx)\n\t"
      "movq %%r10, 56(%%rcx)\n\t"
      "movq %%r12, 64(%%rcx)\n\t"
      "movq %%r13, 72(%%rcx)\n\t"
      "movq %%r14, 80(%%rcx)\n\t"
      "movq %%r15, 88(%%rcx)\n\t"
      "movq %%r11, 96(%%rcx)\n\t"
      "movdqu %%xmm0, 232(%%rcx)\n\t"
      "movdqu %%xmm7, 248(%%rcx)\n\t"
      "movdqu %%xmm8, 264(%%rcx)\n\t"
      "movdqu %%xmm15, 280(%%rcx)\n\t"
      "leaq -128(%%rsp), %%rsi\n\t"
      "leaq 104(%%rcx), %%rdi\n\t"
      "movq $15, %%rcx\n\t"
      "rep movsq\n\t"
      "addq $8, %%rsp\n\t"
      "popq %%rbx\n\t"
      "popq %%rbp\n\t"
      : "=a"(result)
      : [arguments] "r"(&arguments)
      : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
        "xmm7", "xmm8", "xmm15", "memory", "cc");
  if (result < 0 && result > -4096) {
    errno = (int)-result;
    result = -1;
  }
  return result;
}

static long checked(const char* name, long number, uint64_t a, uint64_t b, uint64_t c) {
  struct registers after;
  memset(&after, 0, sizeof after);
  const long result = call_with_known_registers(number, a, b, c, &after);
  report(name, result);
  say("  arguments kept: %d, rbx %lx rbp %lx r8 %lx r9 %lx r10 %lx",  //
      after.rdi == a && after.rsi == b && after.rdx == c, after.rbx, after.rbp, after.r8, after.r9,
      after.r10);
  say("  r12 %lx r13 %lx r14 %lx r15 %lx carry %d trap %d", after.r12, after.r13, after.r14,
      after.r15, (int)(after.flags & 1), (int)(after.flags >> 8 & 1));
  int red = 0;
  for (int i = 0; i < 15; ++i) {
    red += after.red_zone[i] == 0x7eed;
  }
  uint64_t low[4];
  for (int i = 0; i < 4; ++i) {
    memcpy(&low[i], after.xmm[i], 8);
  }
  say("  red zone kept: %d of 15, xmm %lx %lx %lx %lx", red, low[0], low[1], low[2], low[3]);
  return result;
}

static unsigned long stack_sum(const unsigned char* bytes, size_t size) {
  unsigned long sum = 0;
  for (size_t i = 0; i < size; ++i) {
    sum = sum * 31 + bytes[i];
  }
  return sum;
}

static volatile sig_atomic_t traps;

static void count_trap(int signal_number) {
  (void)signal_number;
  ++traps;
}

// The same call from a program that steps itself, by the trap flag.
static long call_stepping(const char* name, long number, uint64_t a, uint64_t b, uint64_t c) {
  traps = 0;
  long result;
  __asm__ volatile(
      "leaq -128(%%rsp), %%rsp\n\t"
      "pushfq\n\t"
      "orq $0x100, (%%rsp)\n\t"
      "popfq\n\t"
      "syscall\n\t"
      "pushfq\n\t"
      "andq $~0x100, (%%rsp)\n\t"
      "popfq\n\t"
      "leaq 128(%%rsp), %%rsp\n\t"
      : "=a"(result)
      : "a"(number), "D"(a), "S"(b), "d"(c)
      : "rcx", "r11", "memory", "cc");
  say("%s stepping: %d, %d traps", name, result < 0 && result > -4096 ? (int)result : 0, traps);
  return result;
}

static void check_stepping(void) {
  struct sigaction counting, before;
  memset(&counting, 0, sizeof counting);
  counting.sa_handler = count_trap;
  sigaction(SIGTRAP, &counting, &before);
  const int id = new_segment(PAGE);
  const long at = call_stepping("shmat", SYS_shmat, (uint64_t)id, 0, 0);
  call_stepping("shmat of nothing", SYS_shmat, 4711, 0, 0);
  say("attached: %lu", nattch_of(id));
  call_stepping("shmdt", SYS_shmdt, (uint64_t)at, 0, 0);
  call_stepping("shmdt again", SYS_shmdt, (uint64_t)at, 0, 0);
  say("attached: %lu", nattch_of(id));
  shm_ctl(id, IPC_RMID, NULL);
  sigaction(SIGTRAP, &before, NULL);
}

// Attaches and detaches again and again: what shmvisor does differently then shows below.
static void settle_in(void) {
  const int id = new_segment(PAGE);
  for (int i = 0; i < 20; ++i) {
    shm_dt(attach(id));
  }
  shm_ctl(id, IPC_RMID, NULL);
}

static void check_all(void) {
  const long id = checked("shmget", SYS_shmget, IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
  const long at = checked("shmat", SYS_shmat, (uint64_t)id, 0, 0);
  const long second = checked("shmat SHM_RDONLY", SYS_shmat, (uint64_t)id, 0, SHM_RDONLY);
  checked("shmat SHM_REMAP", SYS_shmat, (uint64_t)id, (uint64_t)second, SHM_REMAP);
  checked("shmat in the way", SYS_shmat, (uint64_t)id, (uint64_t)second, 0);
  checked("shmat of nothing", SYS_shmat, 4711, 0, 0);
  struct shmid_ds segment;
  checked("IPC_STAT", SYS_shmctl, (uint64_t)id, IPC_STAT, (uint64_t)&segment);
  checked("shmdt", SYS_shmdt, (uint64_t)second, 0, 0);
  checked("shmdt again", SYS_shmdt, (uint64_t)second, 0, 0);
  checked("shmdt", SYS_shmdt, (uint64_t)at, 0, 0);
  checked("IPC_RMID", SYS_shmctl, (uint64_t)id, IPC_RMID, 0);

  // What lies above the stack pointer is untouched as well.
  unsigned char canary[4096];
  for (size_t i = 0; i < sizeof canary; ++i) {
    canary[i] = (unsigned char)(i * 7);
  }
  const unsigned long before = stack_sum(canary, sizeof canary);
  const int other = new_segment(PAGE);
  char* again = attach(other);
  shm_dt(again);
  say("stack kept: %d", stack_sum(canary, sizeof canary) == before);

  // With hardly any stack left, nothing may be pushed.
  char* alone = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (alone == MAP_FAILED || mprotect(alone, PAGE, PROT_NONE) != 0) {
    die("mmap");
  }
  long on_the_edge;
  __asm__ volatile(
      "movq %%rsp, %%r12\n\t"
      "movq %[edge], %%rsp\n\t"
      "syscall\n\t"
      "movq %%r12, %%rsp\n\t"
      : "=a"(on_the_edge)
      : "a"((long)SYS_shmat), "D"((long)other), "S"(0L), "d"(0L), [edge] "r"(alone + PAGE)
      : "rcx", "r11", "r12", "memory");
  say("at the edge of the stack: %d", on_the_edge > 0);
  TRY(shm_dt((void*)on_the_edge));
  __asm__ volatile(
      "movq %%rsp, %%r12\n\t"
      "xorl %%esp, %%esp\n\t"
      "syscall\n\t"
      "movq %%r12, %%rsp\n\t"
      : "=a"(on_the_edge)
      : "a"((long)SYS_shmat), "D"((long)other), "S"(0L), "d"(0L)
      : "rcx", "r11", "r12", "memory");
  say("without a stack: %d", on_the_edge > 0);
  TRY(shm_dt((void*)on_the_edge));
  TRY(shm_ctl(other, IPC_RMID, NULL));
}

int main(void) {
  check_all();
  check_stepping();
  settle_in();
  check_all();
  check_stepping();
  say("end");
  return 0;
}
