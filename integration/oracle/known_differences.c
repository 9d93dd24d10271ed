// What is known to differ and is left out of the other programs: not part of the tests.
#include <time.h>

#include "transcript.h"

static const char* relation(pid_t pid) { return pid == 0 ? "0" : pid == getpid() ? "me" : "other"; }

static void* unused_body(void* unused) { return unused; }

// Natively each fork counts as an attach and each exit or munmap as a detach.
static void bookkeeping_by_fork_and_exit(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  const struct shmid_ds before = stat_of(id);
  while (time(NULL) <= before.shm_atime + 1) {
    usleep(20000);
  }
  in_child((void (*)(void*))(void (*)(void))unused_body, NULL);
  struct shmid_ds after = stat_of(id);
  say("fork: atime later %d, dtime set %d, lpid %s", after.shm_atime > before.shm_atime,
      after.shm_dtime != 0, relation(after.shm_lpid));
  munmap(at, PAGE);
  after = stat_of(id);
  say("munmap: dtime set %d, lpid %s", after.shm_dtime != 0, relation(after.shm_lpid));
}

// Natively two mappings of shm never become one again.
static void merging(void) {
  const int id = new_segment(3 * PAGE);
  char* at = attach(id);
  mprotect(at + PAGE, PAGE, PROT_READ);
  say("split: nattch %lu", nattch_of(id));
  mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE);
  say("as before: nattch %lu", nattch_of(id));
}

static void name_in_maps(void) {
  const int id = (int)shm_get(0xabc, PAGE, IPC_CREAT | 0600);
  char* at = attach(id);
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    unsigned long start;
    if (sscanf(line, "%lx-", &start) == 1 && start == (uintptr_t)at) {
      const char* name = strchr(line, '/');
      say("name %s, inode is the identifier %d", name ? strtok(strdup(name), "\n") : "none",
          strstr(line, " 0  ") == NULL);
    }
  }
  fclose(maps);
}

int main(void) {
  bookkeeping_by_fork_and_exit();
  merging();
  name_in_maps();
  say("end");
  return 0;
}
