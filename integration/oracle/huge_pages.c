// SHM_HUGETLB with every page size of the machine that has free pages (huge_pages.sh sees to it):
// permission, reservation, alignment, and that all is given back, at once.
#include <linux/capability.h>

#include "transcript.h"

#define SHM_HUGE_SHIFT 26  // linux/shm.h, which does not go with sys/shm.h

static unsigned long huge_bytes;
static int size_flag;
static char counters[128];

static unsigned long counter(const char* name) {
  char path[192];
  snprintf(path, sizeof path, "%s/%s", counters, name);
  FILE* file = fopen(path, "r");
  unsigned long value = 0;
  if (file == NULL || fscanf(file, "%lu", &value) != 1) {
    die(path);
  }
  fclose(file);
  return value;
}

// Pages that are free and promised to nobody, and those that are promised, against the beginning.
static long free_before;
static long reserved_before;

static void say_pool(const char* label) {
  say("%s: free %+ld reserved %+ld", label, (long)counter("free_hugepages") - free_before,
      (long)counter("resv_hugepages") - reserved_before);
}

// Whoever looks at the pool rather than calling again may be a little early.
static void say_given_back(void) {
  for (int looks = 0; looks < 200; ++looks) {
    if ((long)counter("free_hugepages") == free_before &&
        (long)counter("resv_hugepages") == reserved_before) {
      break;
    }
    usleep(10000);
  }
  say_pool("given back");
}

static long huge_get(unsigned long size, int flags) {
  return shm_get(IPC_PRIVATE, size, SHM_HUGETLB | size_flag | 0600 | flags);
}

// KernelPageSize of the mapping at `at`, in kB.
static unsigned long mapped_page_kib(const char* at) {
  FILE* smaps = fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false;
  unsigned long kib = 0;
  while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
    unsigned long start;
    unsigned long end;
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
      inside = start <= (unsigned long)at && (unsigned long)at < end;
    } else if (inside && sscanf(line, "KernelPageSize: %lu kB", &kib) == 1) {
      break;
    }
  }
  if (smaps != NULL) {
    fclose(smaps);
  }
  return kib;
}

static char* free_aligned(void) {
  char* range = free_range(3 * huge_bytes);
  return range + (huge_bytes - (unsigned long)range % huge_bytes) % huge_bytes;
}

static void reads_and_writes(void* argument) {
  char* at = argument;
  say("child reads %c", at[0]);
  at[0] = 'c';
}

static void life(void) {
  const int id = (int)huge_get(huge_bytes / 2 + 1, 0);
  if (id < 0) {
    die("a segment of one huge page");
  }
  const struct shmid_ds made = stat_of(id);
  say("size as asked for %d mode %o", made.shm_segsz == huge_bytes / 2 + 1, made.shm_perm.mode);
  say("pages of all segments %lu", info_now().shm_tot);
  say_pool("made");
  char* at = attach(id);
  say("aligned %d, page size right %d", (unsigned long)at % huge_bytes == 0,
      mapped_page_kib(at) * 1024 == huge_bytes);
  say_pool("attached");
  at[0] = 'p';
  at[huge_bytes - 1] = 'q';
  say_pool("touched");
  in_child(reads_and_writes, at);
  say("then %c", at[0]);
  char* spot = free_aligned();
  TRY(shm_at(id, spot + PAGE, 0));
  TRY(shm_at(id, spot + PAGE, SHM_RND));
  TRY(shm_at(id, spot + PAGE, SHM_REMAP));
  TRY(shm_at(id, spot + 1, SHM_RND));
  say("at its place %c, nattch %lu", spot[0], nattch_of(id));
  TRY(shm_at(id, spot, 0));
  TRY(shm_at(id, spot, SHM_REMAP | SHM_RDONLY));
  TRY(mprotect(spot, huge_bytes, PROT_READ | PROT_WRITE));
  TRY(mprotect(at, PAGE, PROT_READ));
  TRY(munmap(at + PAGE, PAGE));
  TRY(munmap(spot, PAGE));
  TRY(shm_dt(spot + PAGE));
  TRY(shm_dt(spot));
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY(shm_ctl(id, SHM_UNLOCK, NULL));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say_pool("removed, but attached");
  TRY(shm_dt(at));
  say_given_back();
}

static void touches(void* argument) { *(volatile char*)argument = 1; }

static void promises(void) {
  const unsigned long there = counter("free_hugepages") - counter("resv_hugepages");
  TRY(huge_get((there + 1) * huge_bytes, 0));
  say_pool("refused");
  const int all = (int)huge_get(there * huge_bytes, 0);
  say("all of them: %s", all < 0 ? strerrorname_np(errno) : "ok");
  TRY(huge_get(1, 0));
  const int unreserved = (int)huge_get(1, SHM_NORESERVE);
  say("without reservation: %s", unreserved < 0 ? strerrorname_np(errno) : "ok");
  char* at = (char*)TRY(shm_at(unreserved, NULL, 0));
  if (at != (char*)-1) {
    in_child(touches, at);
    shm_dt(at);
  }
  TRY(shm_ctl(unreserved, IPC_RMID, NULL));
  TRY(shm_ctl(all, IPC_RMID, NULL));
  say_given_back();
  // With pages to be had, it gets them when it touches them.
  const int later = (int)huge_get(1, SHM_NORESERVE);
  say_pool("made without reservation");
  at = attach(later);
  at[0] = 1;
  say("touched %d", at[0]);
  TRY(shm_ctl(later, IPC_RMID, NULL));
  TRY(shm_dt(at));
  say_given_back();
}

// What the end of a segment is, when the call that ends it has returned.
enum ending { REMOVED_LAST, DETACHED_LAST, REPLACED_LAST, ENDINGS };

// How often all free pages could be mapped right after such an end.
static int came_back(enum ending ending, int rounds) {
  const unsigned long free_pages = counter("free_hugepages") - counter("resv_hugepages");
  const unsigned long size = free_pages * huge_bytes;
  int times = 0;
  for (int round = 0; round < rounds; ++round) {
    int id = -1;
    for (int tries = 0; tries < 100 && (id = (int)huge_get(size, 0)) < 0; ++tries) {
      usleep(1000);  // what the round before left is counted there
    }
    char* at = (char*)shm_at(id, NULL, 0);
    if (at == (char*)-1) {
      die("all pages attached");
    }
    for (unsigned long touched = 0; touched < size; touched += huge_bytes) {
      at[touched] = 1;
    }
    if (ending == REMOVED_LAST) {
      shm_dt(at);
      shm_ctl(id, IPC_RMID, NULL);
    } else {
      shm_ctl(id, IPC_RMID, NULL);
    }
    if (ending == DETACHED_LAST) {
      shm_dt(at);
    }
    int other = -1;
    if (ending == REPLACED_LAST) {
      other = (int)shm_get(IPC_PRIVATE, size, 0600);
      if (shm_at(other, at, SHM_REMAP) != (long)at) {
        die("SHM_REMAP");
      }
    }
    void* const all = mmap(
        NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (__builtin_ctzl(huge_bytes) << SHM_HUGE_SHIFT),
        -1, 0);
    if (all != MAP_FAILED) {
      ++times;
      munmap(all, size);
    }
    if (other >= 0) {
      shm_dt(at);
      shm_ctl(other, IPC_RMID, NULL);
    }
  }
  return times;
}

static void memory_comes_back(void) {
  const int rounds = huge_bytes > 32ul << 20 ? 2 : 40;
  for (int ending = 0; ending < ENDINGS; ++ending) {
    // Others may take a page of the pool for a moment.
    say("ending %d: came back at once %d", ending, came_back(ending, rounds) * 10 >= rounds * 9);
  }
  say_given_back();
}

static void as_somebody(void* argument) {
  become(argument);
  const long id = huge_get(1, 0);
  say("%s: %s", ((const struct identity*)argument)->name, id < 0 ? strerrorname_np(errno) : "ok");
  if (id >= 0) {
    shm_ctl((int)id, IPC_RMID, NULL);
  }
}

static void permission(void) {
  FILE* file = fopen("/proc/sys/vm/hugetlb_shm_group", "r");
  unsigned group = 0;
  if (file == NULL || fscanf(file, "%u", &group) != 1) {
    die("hugetlb_shm_group");
  }
  fclose(file);
  struct identity somebodies[] = {
      {"nobody in particular", 1000, 1000, 0, {0}, 0},
      {"with CAP_IPC_LOCK", 1000, 1000, 0, {0}, 1ull << CAP_IPC_LOCK},
      {"with other capabilities",
       1000,
       1000,
       0,
       {0},
       1ull << CAP_IPC_OWNER | 1ull << CAP_SYS_ADMIN},
      {"in the group", 1000, 1000, 1, {group}, 0},
      {"of the group", 1000, group, 0, {0}, 0},
  };
  for (size_t i = 0; i < sizeof somebodies / sizeof *somebodies; ++i) {
    in_child(as_somebody, &somebodies[i]);
  }
  say_given_back();
}

int main(int argc, char** argv) {
  // Sizes that no machine has.
  for (int shift = 13; shift < 21; shift += 7) {
    TRY(shm_get(IPC_PRIVATE, 1, SHM_HUGETLB | shift << SHM_HUGE_SHIFT | 0600));
  }
  // argv: sizes in KiB; the default one is tried without its size too.
  for (int i = 1; i < argc; ++i) {
    huge_bytes = strtoul(argv[i], NULL, 10) * 1024;
    snprintf(counters, sizeof counters, "/sys/kernel/mm/hugepages/hugepages-%skB", argv[i]);
    free_before = (long)counter("free_hugepages");
    reserved_before = (long)counter("resv_hugepages");
    size_flag = __builtin_ctzl(huge_bytes) << SHM_HUGE_SHIFT;
    say("pages of %s KiB", argv[i]);
    life();
    promises();
    memory_comes_back();
    permission();
    if (i == 1) {
      say("as the default size");
      size_flag = 0;
      life();
    }
  }
  say("end");
  return 0;
}
