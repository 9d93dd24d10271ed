// print_limits COUNT SIZE: the limits of IPC_INFO, and how many of COUNT segments of SIZE bytes
// could be made.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

int main(int argc, char** argv) {
  struct shminfo limits;
  if (argc != 3 || shmctl(0, IPC_INFO, (struct shmid_ds*)(void*)&limits) < 0) {
    return 1;
  }
  printf("shmmax %lu shmall %lu shmmni %lu shmmin %lu\n", limits.shmmax, limits.shmall,
         limits.shmmni, limits.shmmin);
  int made = 0;
  const char* reason = "all";
  for (; made < atoi(argv[1]); ++made) {
    if (shmget(IPC_PRIVATE, strtoul(argv[2], NULL, 0), IPC_CREAT | 0600) < 0) {
      reason = strerrorname_np(errno);
      break;
    }
  }
  printf("made %d: %s\n", made, reason);
  return 0;
}
