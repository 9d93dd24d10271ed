// Limits of its own that change under its calls, and mseal(2) over what it attached.
#include "attack.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static void change_for_ever(void* segment, int number) {
  static const int kLimits[] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_MEMLOCK, RLIMIT_FSIZE,
                                RLIMIT_DATA};
  for (unsigned round = (unsigned)number; !time_is_up(); ++round) {
    const int which = kLimits[round % (sizeof kLimits / sizeof *kLimits)];
    struct rlimit before;
    getrlimit(which, &before);
    const struct rlimit none = {round % 4, before.rlim_max};
    setrlimit(which, &none);
    const long at = shm_at(*(int*)segment, NULL, 0);
    shm_ctl(*(int*)segment, SHM_LOCK, NULL);
    const int id = make_segment(300, 0600);
    if (id >= 0) shm_ctl(id, IPC_RMID, NULL);
    setrlimit(which, &before);
    if (at == -1) continue;
    if (round % 7 == 0) syscall(SYS_mseal, at, PAGE, 0);
    shm_dt((void*)at);
  }
}

void attack_limits_change(void) {
  int segment = make_segment(1, 0600);
  crowd(3, change_for_ever, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
