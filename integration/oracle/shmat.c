// shmat(2): addresses, flags, protections, limits of the address space, bad identifiers.
#include <linux/capability.h>
#include <setjmp.h>
#include <sys/prctl.h>

#include "transcript.h"

static sigjmp_buf fault_exit;

static void on_fault(int signal_number) { siglongjmp(fault_exit, signal_number); }

// "readable", "writable" or the signal that the access ended with.
static void access_of(const char* label, volatile char* byte, bool write) {
  struct sigaction action = {.sa_handler = on_fault};
  struct sigaction old_segv;
  struct sigaction old_bus;
  sigaction(SIGSEGV, &action, &old_segv);
  sigaction(SIGBUS, &action, &old_bus);
  const int ended = sigsetjmp(fault_exit, 1);
  if (ended == 0) {
    if (write) {
      *byte = 'w';
    } else {
      (void)*byte;
    }
    say("%s: %s works", label, write ? "write" : "read");
  } else {
    say("%s: %s gives signal %d", label, write ? "write" : "read", ended);
  }
  sigaction(SIGSEGV, &old_segv, NULL);
  sigaction(SIGBUS, &old_bus, NULL);
}

static void placement(void) {
  const int id = new_segment(2 * PAGE);
  char* hole = free_range(64 * PAGE);
  char* wanted = hole + 16 * PAGE;

  say("NULL");
  char* any = attach(id);
  say("  page aligned: %d, zero filled: %d", ((uintptr_t)any & (PAGE - 1)) == 0,
      any[0] == 0 && any[2 * PAGE - 1] == 0);
  TRY(shm_dt(any));

  say("exact");
  long at = shm_at(id, wanted, 0);
  say("  there: %d", at == (long)wanted);
  TRY(shm_at(id, wanted, 0));
  TRY(shm_at(id, wanted - PAGE, 0));
  TRY(shm_at(id, wanted + PAGE, 0));
  TRY(shm_at(id, wanted - 2 * PAGE, 0));
  TRY(shm_at(id, wanted + 2 * PAGE, 0));
  say("  nattch %lu", nattch_of(id));
  TRY(shm_dt(wanted - 2 * PAGE));
  TRY(shm_dt(wanted + 2 * PAGE));
  TRY(shm_dt(wanted));

  say("unaligned");
  static const unsigned long kOffsets[] = {1, 8, 2048, 4095};
  for (size_t i = 0; i < sizeof kOffsets / sizeof *kOffsets; ++i) {
    reportf(shm_at(id, wanted + kOffsets[i], 0), "offset %lu", kOffsets[i]);
    at = shm_at(id, wanted + kOffsets[i], SHM_RND);
    reportf(at, "offset %lu with SHM_RND", kOffsets[i]);
    say("  rounded down: %d", at == (long)wanted);
    TRY(shm_dt(wanted));
  }
  at = shm_at(id, wanted, SHM_RND);
  say("aligned with SHM_RND: there %d", at == (long)wanted);
  TRY(shm_dt(wanted));
  TRY(shm_at(id, NULL, SHM_RND));
  TRY(shm_at(id, NULL, SHM_REMAP));
  TRY(shm_at(id, NULL, SHM_REMAP | SHM_RND));
  TRY(shm_at(id, (void*)1, 0));
  TRY(shm_at(id, (void*)1, SHM_REMAP | SHM_RND));
  TRY(shm_at(id, (void*)1, SHM_REMAP));
  say("nattch %lu", nattch_of(id));
}

static void low_addresses(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  TRY_VALUE(shm_at(id, (void*)1, SHM_RND));
  TRY_VALUE(shm_at(id, (void*)0x1000, 0));
  TRY_VALUE(shm_at(id, (void*)0x1000, SHM_REMAP));
  TRY(shm_dt(NULL));
  TRY(shm_dt((void*)0x1000));
  say("nattch %lu", nattch_of(id));
}

static void low_addresses_as_user(void* unused) {
  become(&(struct identity){.uid = 1000, .gid = 1000});
  low_addresses(unused);
}

static void high_addresses(void) {
  const int id = new_segment(PAGE);
  static const uint64_t kAddresses[] = {0x7ffffffff000,     0x7fffffffe000,     0x800000000000,
                                        0xffffffffff000,    0x100000000000000,  0x7ffffffffffff000,
                                        0x8000000000000000, 0xffff800000000000, 0xffffffffff600000,
                                        0xffffffffffffe000, 0xfffffffffffff000};
  for (size_t i = 0; i < sizeof kAddresses / sizeof *kAddresses; ++i) {
    void* address = (void*)(uintptr_t)kAddresses[i];
    reportf(shm_at(id, address, 0), "%#lx", (unsigned long)kAddresses[i]);
    reportf(shm_at(id, address, SHM_REMAP), "%#lx with SHM_REMAP", (unsigned long)kAddresses[i]);
    reportf(shm_at(id, (char*)address + 5, SHM_RND), "%#lx + 5 with SHM_RND",
            (unsigned long)kAddresses[i]);
    reportf(shm_at(id, (char*)address + 5, 0), "%#lx + 5", (unsigned long)kAddresses[i]);
  }
  const int larger = new_segment(16 * PAGE);
  TRY(shm_at(larger, (void*)(uintptr_t)0x7fffffff8000, 0));
  TRY(shm_at(larger, (void*)(uintptr_t)0x7fffffff8000, SHM_REMAP));
  TRY(shm_at(larger, (void*)0xffffffffffff8000, 0));
  TRY(shm_at(larger, (void*)0xffffffffffff8000, SHM_REMAP));
  say("nattch %lu %lu", nattch_of(id), nattch_of(larger));
}

static void overlap(void) {
  const int id = new_segment(2 * PAGE);
  char* mapping = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    die("mmap");
  }
  memset(mapping, 'm', 4 * PAGE);
  TRY(shm_at(id, mapping + PAGE, 0));
  TRY(shm_at(id, mapping - PAGE, 0));
  TRY(shm_at(id, mapping + 3 * PAGE, 0));
  say("untouched: %c%c%c%c", mapping[0], mapping[PAGE], mapping[2 * PAGE], mapping[3 * PAGE]);
  say("there: %d", shm_at(id, mapping + PAGE, SHM_REMAP) == (long)(mapping + PAGE));
  say("replaced: %c%d%d%c", mapping[0], mapping[PAGE], mapping[2 * PAGE], mapping[3 * PAGE]);
  say("nattch %lu", nattch_of(id));
  mapping[PAGE] = 'a';

  say("over another attach");
  const int other = new_segment(2 * PAGE);
  TRY(shm_at(other, mapping + 2 * PAGE, 0));
  say("there: %d", shm_at(other, mapping + 2 * PAGE, SHM_REMAP) == (long)(mapping + 2 * PAGE));
  say("%c%d nattch %lu %lu", mapping[PAGE], mapping[2 * PAGE], nattch_of(id), nattch_of(other));
  say("over itself");
  say("there: %d", shm_at(other, mapping + 2 * PAGE, SHM_REMAP) == (long)(mapping + 2 * PAGE));
  say("nattch %lu %lu", nattch_of(id), nattch_of(other));
  TRY(shm_dt(mapping + PAGE));
  say("nattch %lu %lu", nattch_of(id), nattch_of(other));
  TRY(shm_dt(mapping + 2 * PAGE));
  say("nattch %lu %lu", nattch_of(id), nattch_of(other));
  say("left: %c", mapping[0]);
  access_of("hole", mapping + PAGE, false);

  say("a refused SHM_REMAP changes nothing");
  char* kept = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  kept[0] = 'k';
  TRY(shm_at(12345678, kept, SHM_REMAP));
  TRY(shm_at(id, kept + 1, SHM_REMAP));
  say("kept: %c", kept[0]);
}

static void protections(void) {
  const int id = new_segment(PAGE);
  char* writable = attach(id);
  writable[0] = 'x';
  char* read_only = (char*)shm_at(id, NULL, SHM_RDONLY);
  say("read through SHM_RDONLY: %c", read_only[0]);
  access_of("SHM_RDONLY", read_only, true);
  TRY(mprotect(read_only, PAGE, PROT_READ | PROT_WRITE));
  TRY(mprotect(read_only, PAGE, PROT_WRITE));
  TRY(mprotect(read_only, PAGE, PROT_READ | PROT_EXEC));
  TRY(mprotect(read_only, PAGE, PROT_NONE));
  TRY(mprotect(read_only, PAGE, PROT_READ));
  access_of("SHM_RDONLY afterwards", read_only, false);
  TRY(mprotect(writable, PAGE, PROT_READ));
  TRY(mprotect(writable, PAGE, PROT_READ | PROT_WRITE));
  TRY(mprotect(writable, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
  access_of("writable again", writable, true);
  TRY(shm_dt(read_only));
  TRY(shm_dt(writable));

  char* code = (char*)shm_at(id, NULL, SHM_EXEC);
  say("SHM_EXEC");
  static const unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};
  memcpy(code, kReturn42, sizeof kReturn42);
  int (*function)(void);
  memcpy(&function, &code, sizeof function);
  say("runs: %d", function());
  TRY(shm_dt(code));
  code = (char*)shm_at(id, NULL, SHM_EXEC | SHM_RDONLY);
  memcpy(&function, &code, sizeof function);
  say("read-only, runs: %d", function());
  access_of("SHM_EXEC | SHM_RDONLY", code, true);
  TRY(shm_dt(code));
  say("nattch %lu", nattch_of(id));
}

static void not_executable(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  char* code = attach(id);
  code[0] = (char)0xc3;
  void (*function)(void);
  memcpy(&function, &code, sizeof function);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  function();
  say("ran without SHM_EXEC");
}

// READ_IMPLIES_EXEC makes each readable mapping executable.
static void read_implies_exec(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  char* code = attach(id);
  code[0] = (char)0xc3;
  TRY(shm_dt(code));
  if (syscall(SYS_personality, 0x0400000) < 0) {
    die("personality");
  }
  code = attach(id);
  void (*function)(void);
  memcpy(&function, &code, sizeof function);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  function();
  say("ran with READ_IMPLIES_EXEC");
}

static void last_page(void) {
  const int id = new_segment(PAGE + 1);
  char* at = free_range(16 * PAGE) + 4 * PAGE;
  if (shm_at(id, at, 0) == -1) {
    die("shmat");
  }
  access_of("first byte", at, true);
  access_of("last byte", at + PAGE, true);
  access_of("rest of the last page", at + 2 * PAGE - 1, true);
  access_of("beyond", at + 2 * PAGE, false);
  TRY(shm_dt(at));
  at = attach(id);
  say("kept without an attach: %c%c", at[0], at[PAGE]);
  TRY(shm_dt(at));
}

// Every single bit of the flags, known or not.
static void flag_bits(void) {
  const int id = new_segment(PAGE);
  for (int bit = 0; bit < 32; ++bit) {
    const int flag = (int)(1u << bit);
    const long at = shm_at(id, NULL, flag);
    reportf(at, "flag %#x", (unsigned)flag);
    if (at != -1) {
      access_of("  ", (char*)at, true);
      shm_dt((void*)at);
    }
  }
  const long at = shm_at(id, NULL, ~SHM_REMAP);
  reportf(at, "all flags but SHM_REMAP");
  TRY(shm_dt((void*)at));
}

static void bad_identifiers(void) {
  const int id = new_segment(PAGE);
  TRY(shm_at(-1, NULL, 0));
  TRY(shm_at(-2, NULL, 0));
  TRY(shm_at((int)0x80000000, NULL, 0));
  TRY(shm_at(0x7fffffff, NULL, 0));
  TRY(shm_at(id + 1, NULL, 0));
  TRY(shm_at(id + 32768, NULL, 0));
  TRY(shm_at(id, NULL, 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_at(-1, (void*)1, 0));
  TRY(shm_at(12345, (void*)0x800000000000, 0));
  TRY(shm_at(12345, (void*)1, SHM_REMAP));
  TRY(shm_at(12345, NULL, SHM_REMAP));
  const int gone = new_segment(PAGE);
  TRY(shm_ctl(gone, IPC_RMID, NULL));
  TRY(shm_at(gone, NULL, 0));
  TRY(shm_at(gone, (void*)1, 0));
  // The upper half of the register is no part of an int.
  const int present = new_segment(PAGE);
  const unsigned long upper_bit = (unsigned long)(1ull << 40);
  const long at = syscall(SYS_shmat, upper_bit | (unsigned long)present, NULL, upper_bit);
  reportf(at, "identifier and flags with upper halves set");
}

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

static void mapping_count(void) {
  // Two attaches of one segment side by side stay two mappings, each of which shmdt finds.
  const int id = new_segment(PAGE);
  char* hole = free_range(2 * PAGE);
  if (shm_at(id, hole, 0) == -1 || shm_at(id, hole + PAGE, 0) == -1) {
    die("shmat");
  }
  say("side by side: nattch %lu", nattch_of(id));
  hole[0] = 's';
  say("same page twice: %c", hole[PAGE]);
  TRY(shm_dt(hole));
  say("nattch %lu, other still there: %c", nattch_of(id), hole[PAGE]);
  TRY(shm_dt(hole + PAGE));
}

int main(void) {
  placement();
  in_child(low_addresses, NULL);
  in_child(low_addresses_as_user, NULL);
  high_addresses();
  overlap();
  protections();
  in_child(not_executable, NULL);
  in_child(read_implies_exec, NULL);
  last_page();
  flag_bits();
  bad_identifiers();
  in_child(address_space_limit, NULL);
  in_child(locked_memory, NULL);
  in_child(locked_memory_limit, NULL);
  in_child(full_descriptor_table, NULL);
  mapping_count();
  say("end");
  return 0;
}
