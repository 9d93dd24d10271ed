// A call changes x0 and no other register: not x1 to x30, which a function might change, not the
// flags, not the vectors. It needs no stack.
#include <sys/prctl.h>

#include "transcript.h"

enum { kGeneral = 31, kVectors = 31 };

struct registers {
  uint64_t x[kGeneral];
  uint64_t flags;
  uint64_t v[kVectors][2];  // v31 is used to store the others
};

struct known_call {
  struct registers before, after;
  uint64_t stack;  // with which the call is made; kOwnStack: the program's own
  uint64_t stack_after;
};
enum { kOwnStack = 1 };

_Static_assert(offsetof(struct registers, flags) == 248, "stands in the text");
_Static_assert(offsetof(struct registers, v) == 256, "stands in the text");
_Static_assert(offsetof(struct known_call, after) == 752, "stands in the text");
_Static_assert(offsetof(struct known_call, stack) == 1504, "stands in the text");
_Static_assert(offsetof(struct known_call, stack_after) == 1512, "stands in the text");

// Makes a system call with the registers of `before`, and stores them in `after`. Meanwhile the
// thread pointer leads to the frame, since no register is free to do so.
void make_known_call(struct known_call* call);
__asm__(
    ".text\n"
    ".balign 4\n"
    ".globl make_known_call\n"
    ".type make_known_call, %function\n"
    "make_known_call:\n"
    "  stp x29, x30, [sp, #-192]!\n"
    "  stp x19, x20, [sp, #16]\n"
    "  stp x21, x22, [sp, #32]\n"
    "  stp x23, x24, [sp, #48]\n"
    "  stp x25, x26, [sp, #64]\n"
    "  stp x27, x28, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  mrs x1, tpidr_el0\n"
    "  stp x1, x0, [sp, #160]\n"
    "  mov x1, sp\n"
    "  msr tpidr_el0, x1\n"
    "  ldr x1, [x0, #1504]\n"
    "  cmp x1, #1\n"
    "  b.eq 1f\n"
    "  mov sp, x1\n"
    "1:\n"
    "  ldr x1, [x0, #248]\n"
    "  msr nzcv, x1\n"
    "  add x1, x0, #256\n"
    "  ld1 {v0.2d, v1.2d, v2.2d, v3.2d}, [x1], #64\n"
    "  ld1 {v4.2d, v5.2d, v6.2d, v7.2d}, [x1], #64\n"
    "  ld1 {v8.2d, v9.2d, v10.2d, v11.2d}, [x1], #64\n"
    "  ld1 {v12.2d, v13.2d, v14.2d, v15.2d}, [x1], #64\n"
    "  ld1 {v16.2d, v17.2d, v18.2d, v19.2d}, [x1], #64\n"
    "  ld1 {v20.2d, v21.2d, v22.2d, v23.2d}, [x1], #64\n"
    "  ld1 {v24.2d, v25.2d, v26.2d, v27.2d}, [x1], #64\n"
    "  ld1 {v28.2d, v29.2d, v30.2d}, [x1]\n"
    "  ldp x2, x3, [x0, #16]\n"
    "  ldp x4, x5, [x0, #32]\n"
    "  ldp x6, x7, [x0, #48]\n"
    "  ldp x8, x9, [x0, #64]\n"
    "  ldp x10, x11, [x0, #80]\n"
    "  ldp x12, x13, [x0, #96]\n"
    "  ldp x14, x15, [x0, #112]\n"
    "  ldp x16, x17, [x0, #128]\n"
    "  ldp x18, x19, [x0, #144]\n"
    "  ldp x20, x21, [x0, #160]\n"
    "  ldp x22, x23, [x0, #176]\n"
    "  ldp x24, x25, [x0, #192]\n"
    "  ldp x26, x27, [x0, #208]\n"
    "  ldp x28, x29, [x0, #224]\n"
    "  ldr x30, [x0, #240]\n"
    "  ldp x0, x1, [x0]\n"
    "  svc #0\n"
    "  fmov d31, x30\n"
    "  mrs x30, tpidr_el0\n"
    "  str x29, [x30, #176]\n"
    "  ldr x29, [x30, #168]\n"
    "  add x29, x29, #752\n"
    "  stp x0, x1, [x29]\n"
    "  stp x2, x3, [x29, #16]\n"
    "  stp x4, x5, [x29, #32]\n"
    "  stp x6, x7, [x29, #48]\n"
    "  stp x8, x9, [x29, #64]\n"
    "  stp x10, x11, [x29, #80]\n"
    "  stp x12, x13, [x29, #96]\n"
    "  stp x14, x15, [x29, #112]\n"
    "  stp x16, x17, [x29, #128]\n"
    "  stp x18, x19, [x29, #144]\n"
    "  stp x20, x21, [x29, #160]\n"
    "  stp x22, x23, [x29, #176]\n"
    "  stp x24, x25, [x29, #192]\n"
    "  stp x26, x27, [x29, #208]\n"
    "  ldr x0, [x30, #176]\n"
    "  stp x28, x0, [x29, #224]\n"
    "  fmov x0, d31\n"
    "  str x0, [x29, #240]\n"
    "  mrs x0, nzcv\n"
    "  str x0, [x29, #248]\n"
    "  mov x0, sp\n"
    "  str x0, [x29, #760]\n"
    "  add x1, x29, #256\n"
    "  st1 {v0.2d, v1.2d, v2.2d, v3.2d}, [x1], #64\n"
    "  st1 {v4.2d, v5.2d, v6.2d, v7.2d}, [x1], #64\n"
    "  st1 {v8.2d, v9.2d, v10.2d, v11.2d}, [x1], #64\n"
    "  st1 {v12.2d, v13.2d, v14.2d, v15.2d}, [x1], #64\n"
    "  st1 {v16.2d, v17.2d, v18.2d, v19.2d}, [x1], #64\n"
    "  st1 {v20.2d, v21.2d, v22.2d, v23.2d}, [x1], #64\n"
    "  st1 {v24.2d, v25.2d, v26.2d, v27.2d}, [x1], #64\n"
    "  st1 {v28.2d, v29.2d, v30.2d}, [x1]\n"
    "  mov sp, x30\n"
    "  ldr x1, [sp, #160]\n"
    "  msr tpidr_el0, x1\n"
    "  ldp x19, x20, [sp, #16]\n"
    "  ldp x21, x22, [sp, #32]\n"
    "  ldp x23, x24, [sp, #48]\n"
    "  ldp x25, x26, [sp, #64]\n"
    "  ldp x27, x28, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  ldp x29, x30, [sp], #192\n"
    "  ret\n");

static long call_on_stack(uint64_t stack, const char* name, long number, uint64_t a, uint64_t b,
                          uint64_t c) {
  static struct known_call call;
  const uint64_t kFlags[] = {0, 0xf0000000u, 0x60000000u};
  static int calls;
  struct registers* const before = &call.before;
  for (uint64_t i = 0; i < kGeneral; ++i) {
    before->x[i] = 0x1111111100000000u * (i % 8) + 0x1000 + i;
  }
  for (uint64_t i = 0; i < kVectors; ++i) {
    before->v[i][0] = 0x5eed00000000u + i;
    before->v[i][1] = ~i;
  }
  before->flags = kFlags[calls++ % 3];
  before->x[0] = a;
  before->x[1] = b;
  before->x[2] = c;
  before->x[8] = (uint64_t)number;
  call.stack = stack;
  make_known_call(&call);
  const struct registers* const after = &call.after;
  const int64_t returned = (int64_t)after->x[0];
  const bool failed = returned < 0 && returned > -4096;
  errno = failed ? (int)-returned : 0;
  report(name, failed ? -1 : returned);
  for (int i = 1; i < kGeneral; ++i) {
    if (after->x[i] != before->x[i]) {
      say("  x%d is %lx", i, after->x[i]);
    }
  }
  say("  flags %lx, vectors kept: %d, stack kept: %d", after->flags,
      memcmp(after->v, before->v, sizeof after->v) == 0,
      stack == kOwnStack || stack == call.stack_after);
  return returned;
}

static long checked(const char* name, long number, uint64_t a, uint64_t b, uint64_t c) {
  return call_on_stack(kOwnStack, name, number, a, b, c);
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

  // With hardly any stack left, nothing may be pushed.
  char* alone = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (alone == MAP_FAILED || mprotect(alone, PAGE, PROT_NONE) != 0) {
    die("mmap");
  }
  const int other = new_segment(PAGE);
  const long on_the_edge = call_on_stack((uint64_t)(alone + PAGE), "at the edge of the stack",
                                         SYS_shmat, (uint64_t)other, 0, 0);
  TRY(shm_dt((void*)on_the_edge));
  const long without =
      call_on_stack(0, "without a stack", SYS_shmat, (uint64_t)other, 0, SHM_RDONLY);
  call_on_stack(0, "without a stack: shmdt", SYS_shmdt, (uint64_t)without, 0, 0);
  say("attached: %lu", nattch_of(other));
  TRY(shm_ctl(other, IPC_RMID, NULL));
}

// Addresses with a tag in their highest byte, which the kernel is to take off in some calls.
static void check_tags(void) {
  if (prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) != 0) {
    die("prctl");
  }
  const uint64_t kTag = 0x2a00000000000000u;
  const int id = new_segment(PAGE);
  char* const at = attach(id);
  TRY(shm_dt((void*)((uint64_t)at | kTag)));
  TRY(shm_at(id, (void*)((uint64_t)free_range(PAGE) | kTag), 0));
  TRY(shm_at(id, (void*)((uint64_t)at | kTag), SHM_REMAP));
  struct shmid_ds* const segment = malloc(sizeof *segment);
  TRY(shm_ctl(id, IPC_STAT, (void*)((uint64_t)segment | kTag)));
  say("size %lu, attached %lu", segment->shm_segsz, segment->shm_nattch);
  free(segment);
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(void) {
  check_all();
  settle_in();
  check_all();
  check_tags();
  say("end");
  return 0;
}
