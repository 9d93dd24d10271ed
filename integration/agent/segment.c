// segment COMMAND...: one look at shared memory, for shells in containers.
//   hold KEY TEXT   makes a segment, says "held", puts TEXT into it, keeps it attached and sleeps
//   show KEY        attaches it, waits for its text, prints that and how many mappings it has
//   limits          prints shmmax and shmmni
// A call that fails is said on standard output by the name of its errno; the status is then 1.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

enum { kPage = 4096, kMostLooks = 10000 };

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
  puts("held");
  fflush(stdout);
  // Only now, and the first character last: who shows it shows it whole, and behind "held".
  strncpy(at + 1, text + 1, kPage - 2);
  __atomic_store_n(at, text[0], __ATOMIC_RELEASE);
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
  for (int looks = 0; __atomic_load_n(at, __ATOMIC_ACQUIRE) == '\0' && looks < kMostLooks;
       ++looks) {
    usleep(1000);
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
  if (strcmp(command, "hold") == 0 && count == 4 && arguments[3][0] != '\0') {
    return hold(key, arguments[3]);
  }
  if (strcmp(command, "show") == 0 && count == 3) {
    return show(key);
  }
  return strcmp(command, "limits") == 0 ? limits() : 2;
}
