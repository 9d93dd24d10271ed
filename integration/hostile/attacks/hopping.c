// Threads of one process that go from one IPC namespace to another and back, by setns(2), in nested
// pid namespaces, and call all the while.
#include "attack.h"

static int homes[8];

static void* hop_for_ever(void* number) {
  unsigned seed = (unsigned)(uintptr_t)number;
  while (!time_is_up()) {
    setns(homes[(size_t)rand_r(&seed) % 8], CLONE_NEWIPC);
    const int id = (int)shm_get(0x686f70, PAGE, IPC_CREAT | 0600);
    const long at = shm_at(id, NULL, 0);
    setns(homes[(size_t)rand_r(&seed) % 8], CLONE_NEWIPC);
    struct shmid_ds ds;
    shm_ctl(id, IPC_STAT, &ds);
    if (at != -1) shm_dt((void*)at);
    if (rand_r(&seed) % 16 == 0) shm_ctl(id, IPC_RMID, NULL);
  }
  return NULL;
}

static void hop(void* unused, int number) {
  (void)unused;
  (void)number;
  pthread_t threads[4];
  for (size_t i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, hop_for_ever, (void*)i);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
}

void attack_hopping(void) {
  if (unshare(CLONE_NEWUSER) != 0) {
    printf("no user namespace: %s\n", strerror(errno));
    exit(77);
  }
  for (int i = 0; i < 8; ++i) {
    if (unshare(CLONE_NEWIPC) != 0) break;
    homes[i] = open("/proc/self/ns/ipc", O_RDONLY);
  }
  for (int depth = 0; depth < 20; ++depth) {
    if (unshare(CLONE_NEWPID) != 0) break;
    const pid_t pid = fork();
    if (pid != 0) {
      while (!time_is_up() && waitpid(pid, NULL, WNOHANG) == 0) pause_for(0.02);
      return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  crowd(2, hop, NULL);
  wait_for_crowd();
}
