// kill -9, exit and exec in the middle of calls.
#include "attack.h"

static void* exit_soon(void* unused) {
  (void)unused;
  pause_for(0.0005);
  _exit(0);
}

static void call_until_killed(int how) {
  const int id = make_segment(1 + (unsigned long)(how % 7), 0600);
  if (how % 3 == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, exit_soon, NULL);
  }
  (void)shm_at(id, NULL, 0);
  shm_ctl(id, IPC_RMID, NULL);
  for (int calls = 0; calls < 20; ++calls) {
    const long at = shm_at(id, NULL, 0);
    if (how % 3 == 1 && calls == 1 + how % 5) execl("/bin/true", "attack", (char*)NULL);
    if (at != -1) shm_dt((void*)at);
  }
}

static void start_and_kill(void* unused, int number) {
  (void)unused;
  for (int how = number; !time_is_up(); ++how) {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      call_until_killed(how);
      _exit(0);
    }
    if (pid < 0) continue;
    pause_for(0.0001 * (how % 23));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
}

void attack_kills(void) {
  crowd(4, start_and_kill, NULL);
  wait_for_crowd();
}
