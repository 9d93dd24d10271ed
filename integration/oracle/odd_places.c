// Attaches in odd places: beside the stack, by programs that see no /proc or another root, by those
// for which reading means executing; and what remap_file_pages and mremap make of an attach.
#include <sys/mount.h>
#include <sys/personality.h>

#include "transcript.h"

// The lowest address of the stack, as it is now.
static char* stack_start(void) {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned long start = 0;
  while (fgets(line, sizeof line, maps)) {
    if (strstr(line, "[stack]")) {
      sscanf(line, "%lx-", &start);
    }
  }
  fclose(maps);
  return (char*)start;  // NOLINT
}

static void say_rights(const char* label, const char* at) {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    unsigned long start;
    char rights[8];
    if (sscanf(line, "%lx-%*x %7s", &start, rights) == 2 && start == (uintptr_t)at) {
      say("%s: %s", label, rights);
    }
  }
  fclose(maps);
}

static int use_stack(int depth) {
  volatile char page[PAGE];
  page[0] = (char)depth;
  return depth == 0 ? page[0] : use_stack(depth - 1) + page[0];
}

static void grows_its_stack(void* depth) { say("used: %d", use_stack(*(int*)depth) >= 0); }

// MAP_FIXED asks for no gap; the stack does when it grows.
static void below_the_stack(void) {
  const int id = new_segment(PAGE);
  static const unsigned kPagesBelow[] = {1, 2, 255, 256, 257, 1000};
  for (size_t i = 0; i < sizeof kPagesBelow / sizeof *kPagesBelow; ++i) {
    char* const place = stack_start() - kPagesBelow[i] * PAGE;
    const long at = shm_at(id, place, 0);
    say("%u pages below the stack: %s", kPagesBelow[i],
        at == -1             ? strerrorname_np(errno)
        : (char*)at == place ? "there"
                             : "elsewhere");
    if (at != -1) {
      int deep = 100;
      in_child(grows_its_stack, &deep);
      TRY(shm_dt(place));
    }
  }
  TRY(shm_at(id, stack_start(), 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void use_segment(int id) {
  char* at = attach(id);
  say("reads %c, nattch %lu", at[0], nattch_of(id));
  at[1]++;
  TRY(shm_dt(at));
  const long own = shm_get(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
  reportf(own, "a segment of its own");
  TRY(shm_ctl((int)own, IPC_RMID, NULL));
}

static void enter_mounts(void) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    die("unshare of mounts");
  }
}

static void without_proc(void* id) {
  enter_mounts();
  // Whatever is mounted over files in there goes with it.
  while (umount2("/proc", MNT_DETACH) == 0) {
  }
  say("no /proc: %d", access("/proc/self", F_OK) != 0);
  use_segment(*(int*)id);
}

static void with_another_root(void* id) {
  enter_mounts();
  if (mount("none", "/tmp", "tmpfs", 0, NULL) != 0 || chdir("/tmp") != 0 ||
      syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    die("pivot_root");
  }
  say("an empty root: %d", access("/proc", F_OK) != 0 && access("/tmp", F_OK) != 0);
  use_segment(*(int*)id);
}

static void in_other_mounts(void) {
  int id = new_segment(PAGE);
  char* at = attach(id);
  strcpy(at, "ab");
  in_child(without_proc, &id);
  in_child(with_another_root, &id);
  say("both wrote: %c", at[1]);
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// A program of old: what it may read it may execute.
static void reading_is_executing(void* argument) {
  const int id = *(int*)argument;
  personality(READ_IMPLIES_EXEC);
  char* at = attach(id);
  say_rights("read-write", at);
  char* read_only = (char*)shm_at(id, NULL, SHM_RDONLY);
  say_rights("read-only", read_only);
}

static void executing(void) {
  int id = new_segment(PAGE);
  char* at = attach(id);
  at[0] = (char)0xc3;  // ret
  char* code = (char*)shm_at(id, NULL, SHM_EXEC | SHM_RDONLY);
  say_rights("SHM_EXEC|SHM_RDONLY", code);
  void (*run)(void);
  memcpy(&run, &code, sizeof run);
  run();
  say("it ran");
  say_rights("neither", at);
  TRY(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
  in_child(reading_is_executing, &id);
  TRY(shm_dt(at));
  TRY(shm_dt(code));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void touches(void* address) {
  *(volatile char*)address = 1;
  say("touched");
}

static void rearranged(void) {
  const int id = new_segment(4 * PAGE);
  char* at = attach(id);
  for (int i = 0; i < 4; ++i) {
    at[(unsigned)i * PAGE] = (char)('a' + i);
  }
  TRY(remap_file_pages(at, PAGE, 0, 3, 0));
  say("pages %c%c%c%c, nattch %lu", at[0], at[PAGE], at[2 * PAGE], at[3 * PAGE], nattch_of(id));
  TRY(remap_file_pages(at + 2 * PAGE, 2 * PAGE, 0, 0, 0));
  say("pages %c%c%c%c, nattch %lu", at[0], at[PAGE], at[2 * PAGE], at[3 * PAGE], nattch_of(id));
  TRY(remap_file_pages(at, PAGE, PROT_READ, 0, 0));
  TRY(shm_dt(at));
  say("nattch %lu", nattch_of(id));
  char* grown = mremap(attach(id), 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
  say("grown: %d, %c, nattch %lu", grown != MAP_FAILED, grown[3 * PAGE], nattch_of(id));
  in_child(touches, grown + 3 * PAGE);
  in_child(touches, grown + 4 * PAGE);
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(grown));
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(void) {
  below_the_stack();
  in_other_mounts();
  executing();
  rearranged();
  say("end");
  return 0;
}
