// attach_once [FILE]: makes a segment, waits until FILE exists when one is named, attaches and
// detaches; prints the results.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

static const char* outcome(int failed) { return failed ? strerrorname_np(errno) : "ok"; }

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  printf("shmget = %s\n", outcome(id < 0));
  for (int tries = 0; argc > 1 && access(argv[1], F_OK) != 0 && tries < 6000; ++tries) {
    usleep(10000);
  }
  char* at = shmat(id, NULL, 0);
  const int failed = at == (char*)-1;
  printf("shmat = %s\n", outcome(failed));
  if (!failed) {
    *at = 1;
    printf("shmdt = %s\n", outcome(shmdt(at)));
  }
  struct shmid_ds segment;
  printf("IPC_STAT = %s\n", outcome(shmctl(id, IPC_STAT, &segment)));
  printf("nattch %lu\n", (unsigned long)segment.shm_nattch);
  printf("IPC_RMID = %s\n", outcome(shmctl(id, IPC_RMID, NULL)));
  return failed;
}
