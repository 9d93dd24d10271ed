// The four calls with arguments that are anything: identifiers, commands, flags, sizes, addresses.
#include "attack.h"

static unsigned long any(unsigned* seed, int id) {
  static const unsigned long kOdd[] = {0,         1,          4095,         4096,
                                       1ul << 31, 1ul << 32,  1ul << 47,    ~0ul,
                                       ~4095ul,   0x7fffffff, 0xffffffff60, 0xffffffffff600000};
  switch (rand_r(seed) % 4) {
    case 0:
      return kOdd[(size_t)rand_r(seed) % (sizeof kOdd / sizeof *kOdd)];
    case 1:
      return (unsigned long)id;
    case 2:
      return (unsigned long)rand_r(seed) % 64;
    default:
      return (unsigned long)rand_r(seed) << (rand_r(seed) % 33);
  }
}

static void call_for_ever(void* unused, int number) {
  (void)unused;
  static const long kCalls[] = {SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt};
  unsigned seed = (unsigned)number;
  const int id = make_segment(1, 0600);
  while (!time_is_up()) {
    const long call = kCalls[rand_r(&seed) % 4];
    unsigned long address = any(&seed, id);
    // What replaces its own code or stack ends it, natively too.
    const unsigned long flags = any(&seed, id) & ~(unsigned long)SHM_REMAP;
    if (call == SYS_shmctl) address = (unsigned long)rand_r(&seed) % 24;
    const unsigned long size = call == SYS_shmget ? address % (1ul << 20) : address;
    const long result = syscall(call, any(&seed, id), size, flags);
    if (call == SYS_shmat && result != -1) shm_dt((void*)result);
    if (call == SYS_shmget && result >= 0 && result != id) shm_ctl((int)result, IPC_RMID, NULL);
  }
}

void attack_garbage(void) {
  crowd(4, call_for_ever, NULL);
  wait_for_crowd();
}
