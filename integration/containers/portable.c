// portable: makes a segment, attaches it twice, shares it with a child, and removes it. For any C
// library, hence no more than POSIX. Prints one line a call: "shmat = ok" or "shmat = errno 13".
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static int say(const char* call, int failed) {
  if (failed) {
    printf("%s = errno %d\n", call, errno);
  } else {
    printf("%s = ok\n", call);
  }
  return failed;
}

int main(void) {
  const int id = shmget(IPC_PRIVATE, 100000, IPC_CREAT | 0600);
  if (say("shmget", id < 0)) {
    return 1;
  }
  char* const memory = shmat(id, NULL, 0);
  const char* const second = shmat(id, NULL, SHM_RDONLY);
  if (say("shmat", memory == (char*)-1 || second == (char*)-1)) {
    return 1;
  }
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    strcpy(memory, "from the child");
    return 0;
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("read %s\n", second);
  struct shmid_ds ds;
  say("IPC_STAT", shmctl(id, IPC_STAT, &ds));
  printf("nattch %lu\n", (unsigned long)ds.shm_nattch);
  say("shmdt", shmdt(memory) != 0 || shmdt(second) != 0);
  return say("IPC_RMID", shmctl(id, IPC_RMID, NULL)) || status;
}
