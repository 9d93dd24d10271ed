// Many callers that stay traced by their parents: each waits for its tracer to leave, which it does
// not. Half of the tracers let their children go on, the others keep them where they stop.
#include "attack.h"

static void call_for_ever(int id) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (!time_is_up()) {
    const long at = shm_at(id, NULL, 0);
    if (at != -1) shm_dt((void*)at);
  }
  _exit(0);
}

static void trace_one(void* segment, int number) {
  const pid_t pid = fork();
  if (pid == 0) call_for_ever(*(int*)segment);
  ptrace(PTRACE_SEIZE, pid, NULL, NULL);
  while (!time_is_up()) {
    int status = 0;
    if (waitpid(pid, &status, __WALL | WNOHANG) == pid && number % 2 == 0) {
      const long signal_number = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
      ptrace(PTRACE_CONT, pid, NULL, (void*)(signal_number == SIGTRAP ? 0 : signal_number));
    }
    pause_for(0.002);
  }
  kill(pid, SIGKILL);
}

void attack_kept_traced(void) {
  int segment = make_segment(1, 0600);
  crowd(40, trace_one, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
