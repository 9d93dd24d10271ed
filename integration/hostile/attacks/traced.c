// Callers whose parents trace them, come and go.
#include "attack.h"

static void trace_for_ever(void* segment, int number) {
  (void)number;
  while (!time_is_up()) {
    const pid_t pid = fork();
    if (pid == 0) {
      const long at = shm_at(*(int*)segment, NULL, 0);
      struct shmid_ds ds;
      shm_ctl(*(int*)segment, IPC_STAT, &ds);
      if (at != -1) shm_dt((void*)at);
      _exit(0);
    }
    ptrace(PTRACE_SEIZE, pid, NULL, (void*)PTRACE_O_TRACESYSGOOD);
    for (int i = 0; i < 5; ++i) ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, __WALL);
  }
}

void attack_traced(void) {
  int segment = make_segment(1, 0600);
  crowd(4, trace_for_ever, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
