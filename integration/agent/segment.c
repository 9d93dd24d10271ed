// segment COMMAND...: one look at shared memory, for shells in containers.
//   hold KEY TEXT   makes a segment that holds TEXT, says "held", keeps it attached and sleeps
//   show KEY        attaches it and prints what it holds and how many mappings it has
//   limits          prints shmmax and shmmni
// A call that fails is said on standard output by the name of its errno; the status is then 1.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

enum { kPage = 4096 };

static int failed(const char* what) {
  printf("%s: %s\n", what, strerrorname_np(errno));
  return 1;
}

static int hold(key_t key, const char* text) {
  const int id = shmget(key, kPage, IPC_CREAT | IPC_EXCL | 0600);
  if (id < 0) {
    return failed("shmget");
  }
  char* at = shmat(id, NULL, 0);
  if (at == (void*)-1) {
    return failed("shmat");
  }
  strncpy(at, text, kPage - 1);
  puts("held");
  fflush(stdout);
  for (;;) {
    pause();
  }
}

static int show(key_t key) {
  const int id = shmget(key, 0, 0);
  if (id < 0) {
    return failed("shmget");
  }
  char* at = shmat(id, NULL, SHM_RDONLY);
  if (at == (void*)-1) {
    return failed("shmat");
  }
  struct shmid_ds state;
  if (shmctl(id, IPC_STAT, &state) != 0) {
    return failed("IPC_STAT");
  }
  printf("%s, mapped %lu times\n", at, state.shm_nattch);
  return shmdt(at) == 0 ? 0 : failed("shmdt");
}

static int limits(void) {
  struct shminfo info;
  if (shmctl(0, IPC_INFO, (struct shmid_ds*)&info) < 0) {
    return failed("IPC_INFO");
  }
  printf("shmmax %lu shmmni %lu\n", info.shmmax, info.shmmni);
  return 0;
}

int main(int count, char** arguments) {
  const char* command = count > 1 ? arguments[1] : "";
  const key_t key = count > 2 ? (key_t)strtol(arguments[2], NULL, 0) : 0;
  if (strcmp(command, "hold") == 0 && count == 4) {
    return hold(key, arguments[3]);
  }
  if (strcmp(command, "show") == 0 && count == 3) {
    return show(key);
  }
  return strcmp(command, "limits") == 0 ? limits() : 2;
}
