// Identifiers: the numbers themselves, as the kernel gives them in a namespace that is fresh, their
// reuse, and which error a stale one gives.
#include "transcript.h"

#define KEY 0x1d

static long make(void) { return shm_get(IPC_PRIVATE, 1, IPC_CREAT | 0600); }

static void stale(void) {
  struct shmid_ds segment;
  const int first = (int)TRY_VALUE(make());
  TRY(shm_ctl(first, IPC_RMID, NULL));
  TRY(shm_ctl(first, IPC_STAT, &segment));
  TRY(shm_ctl(first, IPC_RMID, NULL));
  TRY(shm_at(first, NULL, 0));
  const int second = (int)TRY_VALUE(make());
  TRY(shm_ctl(first, IPC_STAT, &segment));
  TRY(shm_ctl(second, IPC_STAT, &segment));
  TRY(shm_ctl(second, IPC_RMID, NULL));
}

static void by_sequence_number(void) {
  struct shmid_ds segment;
  const int id = (int)TRY_VALUE(make());
  // The same index under other sequence numbers.
  for (int sequence = 1; sequence <= 3; ++sequence) {
    const int wrong = id ^ (sequence << 15);
    reportf(shm_ctl(wrong, IPC_STAT, &segment), "IPC_STAT, sequence number off by %d", sequence);
    reportf(shm_ctl(wrong, IPC_RMID, NULL), "IPC_RMID");
    reportf(shm_ctl(wrong, IPC_SET, &segment), "IPC_SET");
    reportf(shm_ctl(wrong, SHM_LOCK, NULL), "SHM_LOCK");
    reportf(shm_at(wrong, NULL, 0), "shmat");
    reportf(shm_ctl(wrong, SHM_STAT, &segment), "SHM_STAT");
  }
  TRY(shm_ctl(id | (int)0x80000000, IPC_STAT, &segment));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void cycle(void) {
  // One at a time: the index goes round, the sequence number rises when it comes back.
  char line[1200];
  size_t used = 0;
  for (int i = 0; i < 150; ++i) {
    const int id = (int)make();
    used += (size_t)snprintf(line + used, sizeof line - used, " %d", id);
    if (stat_of(id).shm_perm.__seq != id >> 15) {
      say("sequence number of %d is %u", id, stat_of(id).shm_perm.__seq);
    }
    shm_ctl(id, IPC_RMID, NULL);
    if (i % 15 == 14) {
      say("one at a time:%s", line);
      used = 0;
    }
  }
}

static void many(void) {
  enum { kCount = 100 };
  int ids[kCount];
  for (int i = 0; i < kCount; ++i) {
    ids[i] = (int)make();
  }
  say("a hundred: first %d, last %d", ids[0], ids[kCount - 1]);
  say("highest index %ld", shm_ctl(0, SHM_INFO, (struct shm_info[1]){0}));
  for (int i = 0; i < kCount; i += 3) {
    shm_ctl(ids[i], IPC_RMID, NULL);
  }
  say("highest index %ld", shm_ctl(0, SHM_INFO, (struct shm_info[1]){0}));
  for (int i = 0; i < 40; ++i) {
    const int id = (int)TRY_VALUE(make());
    shm_ctl(id, IPC_RMID, NULL);
  }
  // SHM_STAT over all indices finds every segment once.
  int found = 0;
  int wrong = 0;
  for (int index = 0; index <= 400; ++index) {
    struct shmid_ds segment;
    const long id = shm_ctl(index, SHM_STAT, &segment);
    if (id >= 0) {
      ++found;
      wrong += (id & 0x7fff) != index;
    }
  }
  say("found %d, at a wrong index %d, used %d", found, wrong, info_now().used_ids);
  for (int i = 0; i < kCount; ++i) {
    shm_ctl(ids[i], IPC_RMID, NULL);
  }
  say("used %d", info_now().used_ids);
}

static void keys_and_identifiers(void) {
  const long first = TRY_VALUE(shm_get(KEY, 1, IPC_CREAT | 0600));
  TRY(shm_ctl((int)first, IPC_RMID, NULL));
  const long second = TRY_VALUE(shm_get(KEY, 1, IPC_CREAT | 0600));
  say("a new identifier for the same key: %d", first != second);
  TRY(shm_ctl((int)first, IPC_RMID, NULL));
  say("same: %d", shm_get(KEY, 0, 0) == second);
  TRY(shm_ctl((int)second, IPC_RMID, NULL));
  // What failed takes no identifier.
  TRY(shm_get(KEY, 0, IPC_CREAT | 0600));
  TRY(shm_get(IPC_PRIVATE, ~0ul, IPC_CREAT | 0600));
  const long third = TRY_VALUE(make());
  TRY(shm_ctl((int)third, IPC_RMID, NULL));
}

// Pinned segments keep their numbers while others come and go for long.
static void long_run(void) {
  const int pinned = (int)TRY_VALUE(make());
  int last = -1;
  int repeated = 0;
  for (int i = 0; i < 3000; ++i) {
    const int id = (int)make();
    repeated += id == last || id == pinned;
    last = id;
    shm_ctl(id, IPC_RMID, NULL);
  }
  say("repeated %d, last %d", repeated, last);
  say("pinned still there: %zu", stat_of(pinned).shm_segsz);
  TRY(shm_ctl(pinned, IPC_RMID, NULL));
}

int main(void) {
  stale();
  by_sequence_number();
  cycle();
  many();
  keys_and_identifiers();
  long_run();
  say("end");
  return 0;
}
