// What a program and its neighbours see of its being supervised: PR_GET_SECCOMP, and whether a
// process that does nothing but call shmctl(2) is ever seen asleep in /proc/PID/stat.
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kLooks = 5000 };

static char state_of(pid_t pid) {
  char path[64];
  char line[512] = "";
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  FILE* const file = fopen(path, "r");
  if (file == NULL) return '?';
  const char* const name_end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
  fclose(file);
  return name_end == NULL ? '?' : name_end[2];
}

int main(void) {
  printf("PR_GET_SECCOMP %d\n", prctl(PR_GET_SECCOMP));
  const int id = shmget(IPC_PRIVATE, 4096, 0600);
  int begun[2];
  if (id < 0 || pipe(begun) != 0) return 1;
  const pid_t caller = fork();
  if (caller == 0) {
    if (write(begun[1], "", 1) != 1) return 1;
    for (;;) shmctl(id, SHM_UNLOCK, NULL);
  }
  char byte = 0;
  if (read(begun[0], &byte, 1) != 1) return 1;
  bool asleep = false;
  for (int look = 0; look < kLooks && !asleep; ++look) {
    const char state = state_of(caller);
    asleep = state == 'S' || state == 'D';
  }
  kill(caller, SIGKILL);
  waitpid(caller, NULL, 0);
  shmctl(id, IPC_RMID, NULL);
  printf("a caller is seen asleep: %s\n", asleep ? "yes" : "no");
  return 0;
}
