// An exec that waits for a traced dead sibling, for as long as the attacker likes, and holds what
// PTRACE_SEIZE needs; begun while a call of that process is served.
#include "attack.h"

struct start {
  int tell;
  int go;
  bool traced_one_calls;
};

static void* call_for_ever(void* unused) {
  (void)unused;
  while (!time_is_up()) {
    const int id = make_segment(1, 0600);
    const long at = shm_at(id, NULL, 0);
    shm_ctl(id, IPC_SET, &(struct shmid_ds){.shm_perm.mode = 0600});
    shm_ctl(id, IPC_RMID, NULL);
    if (at != -1) shm_dt((void*)at);
  }
  return NULL;
}

static void* wait_then_call(void* argument) {
  const struct start* const start = argument;
  const pid_t tid = (pid_t)syscall(SYS_gettid);
  if (write(start->tell, &tid, sizeof tid) != sizeof tid) _exit(1);
  char byte;
  if (read(start->go, &byte, 1) != 1) _exit(1);
  if (!start->traced_one_calls) {
    for (;;) pause();
  }
  return call_for_ever(NULL);
}

static void exec_soon(struct start* start, unsigned microseconds) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pthread_t traced;
  pthread_t calling;
  pthread_create(&traced, NULL, wait_then_call, start);
  if (!start->traced_one_calls) pthread_create(&calling, NULL, call_for_ever, NULL);
  char byte;
  if (read(start->go, &byte, 1) != 1) _exit(1);
  usleep(microseconds);
  execl("/bin/sleep", "attack", "10", (char*)NULL);
  _exit(1);
}

void attack_exec_held(void) {
  enum { kMost = 250 };
  for (unsigned round = 0; round < kMost && !time_is_up(); ++round) {
    int tell[2];
    int go[2];
    if (pipe2(tell, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) die("pipe");
    struct start start = {tell[1], go[0], round % 2 == 0};
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) exec_soon(&start, 100 + 37 * (round % 50));
    pid_t tid = 0;
    if (read(tell[0], &tid, sizeof tid) != sizeof tid) die("tid");
    ptrace(PTRACE_SEIZE, tid, NULL, NULL);
    if (write(go[1], "go", 2) != 2) die("go");
    for (int i = 0; i < 2; ++i) {
      close(tell[i]);
      close(go[i]);
    }
    pause_for(0.004);
  }
  // Nobody is waited for: all of them stay in the middle of their exec.
  while (!time_is_up()) pause_for(0.05);
}
