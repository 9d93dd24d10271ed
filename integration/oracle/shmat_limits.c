// shmat(2) under limits: of the address space, of locked memory, of descriptors.
#include "transcript.h"

static void address_space_limit(void* unused) {
  (void)unused;
  const int small = new_segment(PAGE);
  const int large = new_segment(256ul << 20);
  const struct rlimit limit = {128ul << 20, 128ul << 20};
  if (setrlimit(RLIMIT_AS, &limit) != 0) {
    die("setrlimit");
  }
  TRY(shm_at(large, NULL, 0));
  TRY(shm_at(large, NULL, SHM_RDONLY));
  TRY(shm_at(small, NULL, 0));
  say("nattch %lu %lu", nattch_of(small), nattch_of(large));
  say("atime of what was refused: %ld, lpid %d", (long)stat_of(large).shm_atime,
      stat_of(large).shm_lpid);
}

static long smaps_kib(const void* address, const char* field) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  if (!maps) {
    die("/proc/self/smaps");
  }
  char line[512];
  bool inside = false;
  long kib = -1;
  while (fgets(line, sizeof line, maps)) {
    unsigned long start;
    unsigned long end;
    char dash;
    if (sscanf(line, "%lx%c%lx ", &start, &dash, &end) == 3 && dash == '-') {
      inside = start == (uintptr_t)address;
    } else if (inside && strncmp(line, field, strlen(field)) == 0) {
      kib = atol(line + strlen(field) + 1);
    }
  }
  fclose(maps);
  return kib;
}

static void locked_memory(void* unused) {
  (void)unused;
  const int id = new_segment(8 * PAGE);
  char* before = attach(id);
  say("before mlockall: Rss %ld kB, Locked %ld kB", smaps_kib(before, "Rss"),
      smaps_kib(before, "Locked"));
  if (mlockall(MCL_FUTURE) != 0) {
    die("mlockall");
  }
  char* after = attach(id);
  say("under MCL_FUTURE: Rss %ld kB, Locked %ld kB", smaps_kib(after, "Rss"),
      smaps_kib(after, "Locked"));
  TRY(shm_dt(after));
  say("pages in use %lu", info_now().shm_rss);
}

static void locked_memory_limit(void* unused) {
  (void)unused;
  const int large = new_segment(64ul << 20);
  const int small = new_segment(PAGE);
  const struct rlimit limit = {4ul << 20, 4ul << 20};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    die("setrlimit");
  }
  if (shm_ctl(large, IPC_SET, &(struct shmid_ds){.shm_perm = {.uid = 1000, .mode = 0600}}) != 0 ||
      shm_ctl(small, IPC_SET, &(struct shmid_ds){.shm_perm = {.uid = 1000, .mode = 0600}}) != 0) {
    die("IPC_SET");
  }
  become(&(struct identity){.uid = 1000, .gid = 1000});
  if (mlockall(MCL_FUTURE) != 0) {
    die("mlockall");
  }
  TRY(shm_at(large, NULL, 0));
  TRY(shm_at(small, NULL, 0));
  say("nattch %lu %lu", nattch_of(large), nattch_of(small));
}

static void full_descriptor_table(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  const struct rlimit limit = {32, 32};
  setrlimit(RLIMIT_NOFILE, &limit);
  while (dup(0) >= 0) {
  }
  TRY(dup(0));
  char* at = attach(id);
  at[0] = 'f';
  say("attached: %c", at[0]);
  TRY(dup(0));
  TRY(shm_dt(at));
  const struct rlimit none = {0, 32};
  setrlimit(RLIMIT_NOFILE, &none);
  at = attach(id);
  say("attached with a soft RLIMIT_NOFILE of 0: %c", at[0]);
  TRY(shm_dt(at));
  TRY(shm_get(IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
}

int main(void) {
  in_child(address_space_limit, NULL);
  in_child(locked_memory, NULL);
  in_child(locked_memory_limit, NULL);
  in_child(full_descriptor_table, NULL);
  say("end");
  return 0;
}
