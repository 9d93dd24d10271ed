// Pages that are swapped out: where they are counted, and that nothing of them is lost.
//
// How many go is the kernel's to decide; that some do, and that none is counted twice, is not.
// shmvisor locks and unlocks right after it has answered: the next call waits for that.
#include "transcript.h"

enum { kPages = 4096 };

static void say_counts(const char* when) {
  const struct shm_info info = info_now();
  say("%s: all %lu, some swapped %d", when, info.shm_rss + info.shm_swp, info.shm_swp != 0);
  FILE* table = fopen("/proc/sysvipc/shm", "r");
  char line[512];
  unsigned long rss = 0;
  unsigned long swap = 0;
  while (fgets(line, sizeof line, table)) {
    unsigned long resident;
    unsigned long swapped;
    if (sscanf(line, "%*d %*d %*o %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu %lu", &resident,
               &swapped) == 2) {
      rss += resident;
      swap += swapped;
    }
  }
  fclose(table);
  say("  the table: all %lu, some swapped %d", (rss + swap) / PAGE, swap != 0);
}

static void fill(char* at) {
  for (unsigned long page = 0; page < kPages; ++page) {
    memset(at + page * PAGE, (int)(page % 251), PAGE);
  }
}

static int count_wrong(const char* at) {
  int wrong = 0;
  for (unsigned long page = 0; page < kPages; ++page) {
    wrong += at[page * PAGE + page % PAGE] != (char)(page % 251);
  }
  return wrong;
}

static void attaches_and_reads(void* id) {
  say("another reads: wrong %d", count_wrong(attach(*(int*)id)));
}

int main(void) {
  int id = new_segment(kPages * PAGE);
  char* at = attach(id);
  fill(at);
  say_counts("filled");
  TRY(madvise(at, kPages / 2 * PAGE, MADV_PAGEOUT));
  say_counts("half of it to be swapped");
  in_child(attaches_and_reads, &id);
  say("wrong %d", count_wrong(at));
  TRY(madvise(at, kPages * PAGE, MADV_PAGEOUT));
  TRY(shm_dt(at));
  say_counts("all of it, unattached");
  at = attach(id);
  say("wrong %d", count_wrong(at));
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  say("locked, touched: wrong %d", count_wrong(at));
  say_counts("touched");
  TRY(madvise(at, kPages * PAGE, MADV_PAGEOUT));
  say_counts("locked");
  TRY(shm_ctl(id, SHM_UNLOCK, NULL));
  say_counts("no longer locked");
  TRY(madvise(at, kPages * PAGE, MADV_PAGEOUT));
  say_counts("unlocked");
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say_counts("removed");
  TRY(shm_dt(at));
  say_counts("gone");
  say("end");
  return 0;
}
