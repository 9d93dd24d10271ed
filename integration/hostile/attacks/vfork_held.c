// Children of vfork that call and never exec, while their parents are kept; of one address space.
#include "attack.h"

static void call_in_child(void* segment, int number) {
  (void)number;
  while (!time_is_up()) {
    const pid_t pid = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, NULL, NULL, 0);
    if (pid == 0) {
      for (int i = 0; i < 100 && !time_is_up(); ++i) {
        const long at = shm_at(*(int*)segment, NULL, 0);
        struct shmid_ds ds;
        shm_ctl(*(int*)segment, IPC_STAT, &ds);
        if (at != -1) shm_dt((void*)at);
      }
      _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
  }
}

void attack_vfork_held(void) {
  int segment = make_segment(1, 0600);
  crowd(4, call_in_child, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
