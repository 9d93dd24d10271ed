// Signals at as many kHz as there are, into a process that calls all the time.
#include "attack.h"

static void nothing(int number) { (void)number; }

static void call_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  struct sigaction action = {.sa_handler = nothing};
  sigaction(SIGUSR1, &action, NULL);
  const int id = make_segment(1, 0600);
  while (!time_is_up()) {
    struct shmid_ds ds;
    const long at = shm_at(id, NULL, 0);
    shm_ctl(id, IPC_STAT, &ds);
    if (at != -1) shm_dt((void*)at);
  }
  shm_ctl(id, IPC_RMID, NULL);
}

static void send(void* target, int number) {
  (void)number;
  while (!time_is_up()) {
    kill(*(pid_t*)target, SIGUSR1);
    pause_for(0.0001);
  }
}

void attack_signals(void) {
  pid_t target = fork();
  if (target == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    call_for_ever(NULL, 0);
    _exit(0);
  }
  pause_for(0.05);
  crowd(2, send, &target);
  wait_for_crowd();
  kill(target, SIGKILL);
}
