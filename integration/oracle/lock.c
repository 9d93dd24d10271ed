// SHM_LOCK allocates nothing and is charged to nobody's address space. That the pages stay is shown
// by tests/memfd_memory_test.cc: the kernel marks them when it comes by.
#include "transcript.h"

enum { kPages = 8 };

// A field of /proc/self/status, in kB.
static unsigned long status_kib(const char* field) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[256];
  unsigned long value = 0;
  const size_t length = strlen(field);
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, field, length) == 0) {
      value = strtoul(line + length + 1, NULL, 10);
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return value;
}

static void say_state(const char* label, int id) {
  say("%s: mode %o pages in use %lu VmLck %lu", label, stat_of(id).shm_perm.mode,
      info_now().shm_rss, status_kib("VmLck"));
}

int main(void) {
  const int id = new_segment(kPages * PAGE);
  char* at = attach(id);
  at[0] = at[PAGE] = 1;
  say_state("touched", id);
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  say_state("locked: nothing is allocated", id);
  at[2 * PAGE] = 1;
  say_state("touched later", id);
  memset(at, 1, kPages * PAGE);
  say_state("all touched", id);
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  TRY(mlock(at, PAGE));
  say_state("mlock of its own", id);
  TRY(munlock(at, PAGE));
  TRY(shm_ctl(id, SHM_UNLOCK, NULL));
  say_state("unlocked", id);
  const int empty = new_segment(kPages * PAGE);
  TRY(shm_ctl(empty, SHM_LOCK, NULL));
  char* later = attach(empty);
  say_state("locked before it was touched", empty);
  memset(later, 1, kPages * PAGE);
  say_state("and touched", empty);
  TRY(shm_ctl(empty, IPC_RMID, NULL));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
