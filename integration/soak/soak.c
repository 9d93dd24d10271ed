// soak KIND COUNT GATE DONE: COUNT cycles of attach/detach, create/remove or fork; after a first
// hundredth as warm-up it creates DONE.warm and waits for GATE.warm, at the end DONE and GATE, so
// that the supervisor can be measured at rest.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static void rendezvous(const char* done, const char* gate, const char* suffix) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s", done, suffix);
  close(open(path, O_CREAT | O_WRONLY, 0644));
  snprintf(path, sizeof path, "%s%s", gate, suffix);
  while (access(path, F_OK) != 0) {
    usleep(20000);
  }
}

static int standing_id;

static int attach_cycle(void) {
  char* at = shmat(standing_id, NULL, 0);
  if (at == (char*)-1) {
    return 1;
  }
  at[0]++;
  return shmdt(at) != 0;
}

static int create_cycle(void) {
  const int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  return id < 0 || shmctl(id, IPC_RMID, NULL) != 0;
}

// A whole life: made, attached, marked for removal, and gone with the process that was last.
static int fork_cycle(void) {
  const int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  char* at = shmat(id, NULL, 0);
  if (at == (char*)-1 || shmctl(id, IPC_RMID, NULL) != 0) {
    return 1;
  }
  const pid_t child = fork();
  if (child == 0) {
    at[0] = 1;
    _exit(0);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    return 1;
  }
  return at[0] != 1 || shmdt(at) != 0;
}

int main(int argc, char** argv) {
  if (argc != 5) {
    return 99;
  }
  int (*const cycle)(void) = strcmp(argv[1], "attach") == 0   ? attach_cycle
                             : strcmp(argv[1], "create") == 0 ? create_cycle
                                                              : fork_cycle;
  const int count = atoi(argv[2]);
  const int warm_up = count / 100 + 1;
  standing_id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  int failures = 0;
  for (int i = 0; i < warm_up; ++i) {
    failures += cycle();
  }
  rendezvous(argv[4], argv[3], ".warm");
  for (int i = 0; i < count; ++i) {
    failures += cycle();
  }
  rendezvous(argv[4], argv[3], ".end");
  struct shm_info info;
  shmctl(0, SHM_INFO, (struct shmid_ds*)(void*)&info);
  struct shmid_ds segment;
  shmctl(standing_id, IPC_STAT, &segment);
  printf("failures %d, segments %d, attached %lu\n", failures, info.used_ids,
         (unsigned long)segment.shm_nattch);
  return failures != 0 || info.used_ids != 1 || segment.shm_nattch != 0;
}
