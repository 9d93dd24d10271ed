// SIGSTOP and SIGCONT in storms, to processes in the middle of calls: no signal mask keeps these
// off.
#include "attack.h"

static pid_t targets[4];

static void call_for_ever(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (!time_is_up()) {
    const int id = make_segment(4, 0600);
    const long at = shm_at(id, NULL, 0);
    shm_ctl(id, IPC_RMID, NULL);
    if (at != -1) shm_dt((void*)at);
  }
  _exit(0);
}

void attack_stop_and_continue(void) {
  for (int i = 0; i < 4; ++i) {
    targets[i] = fork();
    if (targets[i] == 0) call_for_ever();
  }
  while (!time_is_up()) {
    for (int i = 0; i < 4; ++i) kill(targets[i], SIGSTOP);
    pause_for(0.001);
    for (int i = 0; i < 4; ++i) kill(targets[i], SIGCONT);
    pause_for(0.001);
  }
  for (int i = 0; i < 4; ++i) kill(targets[i], SIGKILL);
}
