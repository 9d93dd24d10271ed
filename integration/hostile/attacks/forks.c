// Forks without end, each child with a few calls.
#include "attack.h"

static void fork_for_ever(void* segment, int number) {
  (void)number;
  while (!time_is_up()) {
    const pid_t pid = fork();
    if (pid == 0) {
      const long at = shm_at(*(int*)segment, NULL, 0);
      (void)at;
      _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
  }
}

void attack_forks(void) {
  int segment = make_segment(1, 0600);
  crowd(6, fork_for_ever, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
