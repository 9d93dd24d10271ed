// shmat(2) at every kind of place: address 0, vm.mmap_min_addr, the stack and the gap below it, the
// vsyscall page, the end of the address space, the end of all addresses. Each with sizes that end
// on, before and behind a page, and with each set of flags; before and after a caller attaches
// often enough to be served faster; and where kernel.shm_rmid_forced takes a segment away that an
// attach in vain leaves behind.
#include <sys/personality.h>

#include "transcript.h"

#define MIB (1024ul * 1024)

enum { kSizeCount = 5 };
static unsigned long sizes[kSizeCount];

static const int kFlags[] = {0,
                             SHM_RND,
                             SHM_REMAP,
                             SHM_RND | SHM_REMAP,
                             SHM_EXEC,
                             SHM_RDONLY,
                             SHM_RND | SHM_RDONLY | SHM_EXEC,
                             SHM_RND | SHM_REMAP | SHM_RDONLY | SHM_EXEC};
enum { kFlagCount = sizeof kFlags / sizeof *kFlags };

struct range {
  uintptr_t start;
  uintptr_t end;
};
static struct range stack;
static int segments[kSizeCount];

static struct range find_stack(void) {
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) die("maps");
  char line[512];
  unsigned long start = 0;
  unsigned long end = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, "[stack]") != NULL) sscanf(line, "%lx-%lx", &start, &end);
  }
  fclose(maps);
  if (end == 0) die("no stack");
  return (struct range){start, end};
}

static unsigned long lowest_address(void) {
  unsigned long bytes = 0;
  FILE* file = fopen("/proc/sys/vm/mmap_min_addr", "r");
  if (file == NULL || fscanf(file, "%lu", &bytes) != 1) die("mmap_min_addr");
  fclose(file);
  return bytes;
}

static const char* name_of(int error) {
  const char* name = strerrorname_np(error);
  return name == NULL ? "?" : name;
}

// Whether SHM_REMAP would take away what the program runs on.
static bool replaces_stack(uintptr_t address, unsigned long size) {
  const uintptr_t start = address & ~(PAGE - 1);
  return start < stack.end && start + size + PAGE > stack.start;
}

static void try_at(const char* place, uintptr_t address) {
  for (int size = 0; size < kSizeCount; ++size) {
    char line[256];
    int length = snprintf(line, sizeof line, "%s, %lu bytes:", place, sizes[size]);
    for (int flag = 0; flag < kFlagCount; ++flag) {
      const char* outcome = "skipped";
      if ((kFlags[flag] & SHM_REMAP) == 0 || !replaces_stack(address, sizes[size])) {
        const long at = shm_at(segments[size], (void*)address, kFlags[flag]);
        outcome = at == -1                                   ? name_of(errno)
                  : (uintptr_t)at == address                 ? "there"
                  : (uintptr_t)at == (address & ~(PAGE - 1)) ? "below"
                                                             : "elsewhere";
        if (at != -1 && shm_dt((void*)at) != 0) outcome = "not detached";
      }
      length += snprintf(line + length, sizeof line - (size_t)length, " %s", outcome);
    }
    say("%s", line);
  }
}

// At `address`, and a little beside it.
static void try_around(const char* place, uintptr_t address) {
  static const long kBeside[] = {
      -2l * (long)MIB - 4096, -2l * (long)MIB, -4097, -4096, -4095, -1, 0, 1, 4095, 4096};
  for (size_t i = 0; i < sizeof kBeside / sizeof *kBeside; ++i) {
    char name[64];
    snprintf(name, sizeof name, "%s %+ld", place, kBeside[i]);
    try_at(name, address + (uintptr_t)kBeside[i]);
  }
}

static void walk(void) {
  stack = find_stack();
  try_around("0", 0);
  try_around("mmap_min_addr", lowest_address());
  try_around("the stack's lower end", stack.start);
  try_around("256 pages below the stack", stack.start - 256 * PAGE);
  try_around("the stack's upper end", stack.end);
  try_around("3 GiB", 0xc0000000ul);
  try_around("TASK_SIZE of i386", 0xffffe000ul);
#ifdef __LP64__
  try_around("4 GiB", 1ul << 32);
  try_around("TASK_SIZE", (1ul << 47) - PAGE);
  try_around("2^47", 1ul << 47);
  try_around("2^56", 1ul << 56);
  try_around("2^63", 1ul << 63);
  try_around("the vsyscall page", 0xffffffffff600000ul);
  try_around("behind the vsyscall page", 0xffffffffff601000ul);
#endif
}

static void as_ordinary_user(void* unused) {
  (void)unused;
  static const struct identity kUser = {.name = "user", .uid = 1000, .gid = 1000};
  become(&kUser);
  for (int size = 0; size < kSizeCount; ++size) segments[size] = new_segment(sizes[size]);
  walk();
  for (int size = 0; size < kSizeCount; ++size) shm_ctl(segments[size], IPC_RMID, NULL);
}

static void attach_often(void) {
  const int id = new_segment(PAGE);
  for (int times = 0; times < 16; ++times) {
    char* at = attach(id);
    if (shm_dt(at) != 0) die("shmdt");
  }
  shm_ctl(id, IPC_RMID, NULL);
}

// The last attach that goes takes the segment with it, also one that was in vain.
static void in_vain(const char* what, uintptr_t address, int flags) {
  const int id = new_segment(PAGE - 1);
  reportf(shm_at(id, (void*)address, flags), "%s", what);
  reportf(shm_at(id, (void*)address, flags), "%s, again", what);
  report("  IPC_RMID", shm_ctl(id, IPC_RMID, NULL));
}

static void rmid_forced(void) {
  static char taken[2 * LARGEST_PAGE];
  const int file = open("/proc/sys/kernel/shm_rmid_forced", O_WRONLY);
  if (file < 0 || write(file, "1", 1) != 1) die("shm_rmid_forced");
  for (int times = 0; times < 3; ++times) {
    in_vain("at the end of all addresses", UINTPTR_MAX, SHM_RND);
    in_vain("where something is", (uintptr_t)taken, SHM_RND);
    in_vain("nowhere", 0, SHM_REMAP);
    const int id = new_segment(PAGE);
    char* at = attach(id);
    TRY(shm_at(id, (void*)UINTPTR_MAX, SHM_RND));
    say("nattch %lu", nattch_of(id));
    TRY(shm_dt(at));
    TRY(shm_ctl(id, IPC_RMID, NULL));
  }
  if (pwrite(file, "0", 1, 0) != 1) die("shm_rmid_forced");
  close(file);
}

int main(int argc, char** argv) {
  (void)argc;
  // What lies where must be the same each time.
  const int persona = personality(0xffffffff);
  if ((persona & ADDR_NO_RANDOMIZE) == 0) {
    personality((unsigned long)persona | ADDR_NO_RANDOMIZE);
    execv("/proc/self/exe", argv);
    die("execv");
  }
  const unsigned long all_sizes[kSizeCount] = {1, PAGE - 1, PAGE, PAGE + 1, 2 * MIB};
  memcpy(sizes, all_sizes, sizeof sizes);
  say("== a caller that begins");
  rmid_forced();
  say("== a caller that attached often");
  attach_often();
  rmid_forced();
  for (int size = 0; size < kSizeCount; ++size) segments[size] = new_segment(sizes[size]);
  say("== as root");
  walk();
  say("== as an ordinary user");
  in_child(as_ordinary_user, NULL);
  for (int size = 0; size < kSizeCount; ++size) TRY(shm_ctl(segments[size], IPC_RMID, NULL));
  say("%d segments left", segments_settled());
  say("end");
  return 0;
}
