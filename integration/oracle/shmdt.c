// shmdt(2): addresses that are none, and attaches that were cut, split, moved, doubled or replaced.
#include "transcript.h"

static void wrong_addresses(void) {
  const int id = new_segment(3 * PAGE);
  char* hole = free_range(16 * PAGE);
  char* at = hole + 4 * PAGE;
  if (shm_at(id, at, 0) == -1) {
    die("shmat");
  }
  TRY(shm_dt(NULL));
  TRY(shm_dt((void*)1));
  TRY(shm_dt(at + 1));
  TRY(shm_dt(at + 4095));
  TRY(shm_dt(at - PAGE));
  TRY(shm_dt(at + 3 * PAGE));
  TRY(shm_dt(at + PAGE));
  TRY(shm_dt(at + 2 * PAGE));
  TRY(shm_dt(hole));
  TRY(shm_dt((void*)0x7ffffffff000));
  TRY(shm_dt((void*)0x800000000000));
  TRY(shm_dt((void*)0xffffffffff600000));
  TRY(shm_dt((void*)0xfffffffffffff000));
  TRY(shm_dt((void*)0xffffffffffffffff));
  int on_stack;
  TRY(shm_dt((void*)((uintptr_t)&on_stack & ~(PAGE - 1))));
  static char in_data[2 * LARGEST_PAGE];
  TRY(shm_dt((void*)(((uintptr_t)in_data + PAGE) & ~(PAGE - 1))));
  char* anonymous = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  TRY(shm_dt(anonymous));
  anonymous[0] = 'a';
  const int memfd = memfd_create("SYSV00000000", 0);
  if (memfd < 0 || ftruncate(memfd, PAGE) != 0) {
    die("memfd_create");
  }
  char* file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  close(memfd);
  TRY(shm_dt(file));
  file[0] = 'f';
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  TRY(shm_dt(at));
  say("nattch %lu", nattch_of(id));
}

static bool is_mapped(char* page) {
  unsigned char resident;
  return mincore(page, PAGE, &resident) == 0;
}

static void say_mapped(const char* label, char* at, int pages) {
  char text[65];
  int i;
  for (i = 0; i < pages && i < 64; ++i) {
    text[i] = is_mapped(at + (unsigned long)i * PAGE) ? '#' : '.';
  }
  text[i] = 0;
  say("%s: %s", label, text);
}

// A five-page attach inside a hole, with room on both sides.
static char* attach_five(int id) {
  char* at = free_range(32 * PAGE) + 8 * PAGE;
  if (shm_at(id, at, 0) == -1) {
    die("shmat");
  }
  return at;
}

static void after_munmap(void) {
  const int id = new_segment(5 * PAGE);

  say("first page gone");
  char* at = attach_five(id);
  TRY(munmap(at, PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at + PAGE));
  say_mapped("left", at - PAGE, 7);
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));
  TRY(munmap(at, 5 * PAGE));

  say("last page gone");
  at = attach_five(id);
  TRY(munmap(at + 4 * PAGE, PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));

  say("middle page gone");
  at = attach_five(id);
  TRY(munmap(at + 2 * PAGE, PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at + 3 * PAGE));
  say_mapped("left", at - PAGE, 7);
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));

  say("all gone");
  at = attach_five(id);
  TRY(munmap(at, 5 * PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));

  say("something else in the gap");
  at = attach_five(id);
  if (mmap(at + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    die("mmap");
  }
  at[2 * PAGE] = 'g';
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("%c nattch %lu", at[2 * PAGE], nattch_of(id));

  say("something else in place of the first page");
  at = attach_five(id);
  if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    die("mmap");
  }
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));
}

static void after_mprotect(void) {
  const int id = new_segment(5 * PAGE);
  char* at = attach_five(id);
  TRY(mprotect(at + 2 * PAGE, PAGE, PROT_READ));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at + 2 * PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));

  at = attach_five(id);
  for (int i = 0; i < 5; ++i) {
    TRY(mprotect(at + (unsigned long)i * PAGE, PAGE,
                 i % 2 ? PROT_NONE : PROT_READ | PROT_WRITE | PROT_EXEC));
  }
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));
  TRY(madvise(at, PAGE, MADV_DONTNEED));

  say("split by mlock and madvise");
  at = attach_five(id);
  TRY(mlock(at + PAGE, PAGE));
  TRY(madvise(at + 3 * PAGE, PAGE, MADV_DONTFORK));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say("nattch %lu", nattch_of(id));
}

static void after_mremap(void) {
  const int id = new_segment(5 * PAGE);

  say("moved");
  char* at = attach_five(id);
  at[0] = '0';
  at[3 * PAGE] = '3';
  char* target = free_range(64 * PAGE) + 16 * PAGE;
  TRY(mremap(at, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target));
  say("%c%c nattch %lu", target[0], target[3 * PAGE], nattch_of(id));
  TRY(shm_dt(at));
  TRY(shm_dt(target));
  say_mapped("left", target - PAGE, 7);
  say("nattch %lu", nattch_of(id));

  say("a middle page moved away");
  at = attach_five(id);
  TRY(mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(target));
  say_mapped("moved page", target, 1);
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  say_mapped("moved page", target, 1);
  TRY(munmap(target, PAGE));
  say("nattch %lu", nattch_of(id));

  say("the second page moved to where the first would be");
  at = attach_five(id);
  TRY(mremap(at + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE));
  TRY(shm_dt(target));
  say_mapped("moved page", target + PAGE, 1);
  TRY(shm_dt(target + PAGE));
  say_mapped("moved page", target + PAGE, 1);
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  TRY(munmap(target, 2 * PAGE));

  say("doubled");
  at = attach_five(id);
  char* twin = mremap(at, 0, 5 * PAGE, MREMAP_MAYMOVE);
  say("doubled: %d", twin != MAP_FAILED);
  at[PAGE] = 't';
  say("%c nattch %lu", twin[PAGE], nattch_of(id));
  TRY(shm_dt(at));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(twin));
  say("nattch %lu", nattch_of(id));

  say("shrunk");
  at = attach_five(id);
  TRY(mremap(at, 5 * PAGE, 2 * PAGE, 0));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);

  say("grown beyond its segment");
  at = attach_five(id);
  TRY(mremap(at, 5 * PAGE, 7 * PAGE, 0));
  say_mapped("grown", at - PAGE, 9);
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 9);
  TRY(munmap(at, 7 * PAGE));
  say("nattch %lu", nattch_of(id));
}

static void neighbours(void) {
  const int id = new_segment(2 * PAGE);
  const int other = new_segment(2 * PAGE);
  char* hole = free_range(32 * PAGE) + 8 * PAGE;

  say("one segment twice, side by side");
  TRY(shm_at(id, hole, 0));
  TRY(shm_at(id, hole + 2 * PAGE, 0));
  TRY(shm_dt(hole));
  say_mapped("left", hole - PAGE, 6);
  TRY(shm_dt(hole + 2 * PAGE));
  say_mapped("left", hole - PAGE, 6);

  say("two segments side by side");
  TRY(shm_at(id, hole, 0));
  TRY(shm_at(other, hole + 2 * PAGE, 0));
  TRY(shm_dt(hole));
  say_mapped("left", hole - PAGE, 6);
  say("nattch %lu %lu", nattch_of(id), nattch_of(other));
  TRY(shm_dt(hole + 2 * PAGE));

  say("the second half of one attach replaced by another attach of the same segment");
  TRY(shm_at(id, hole, 0));
  TRY(shm_at(id, hole + PAGE, SHM_REMAP));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(hole));
  say_mapped("left", hole - PAGE, 6);
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(hole + PAGE));
  say_mapped("left", hole - PAGE, 6);

  say("the first half replaced");
  TRY(shm_at(id, hole + PAGE, 0));
  TRY(shm_at(id, hole, SHM_REMAP));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(hole + PAGE));
  say_mapped("left", hole - PAGE, 6);
  TRY(shm_dt(hole));
  say_mapped("left", hole - PAGE, 6);
  TRY(munmap(hole, 4 * PAGE));
  say("nattch %lu", nattch_of(id));

  say("a hole in the middle, filled with the same segment");
  const int wide = new_segment(5 * PAGE);
  const int one = new_segment(PAGE);
  char* at = attach_five(wide);
  TRY(shm_at(one, at + 2 * PAGE, SHM_REMAP));
  say("nattch %lu %lu", nattch_of(wide), nattch_of(one));
  TRY(shm_dt(at));
  say_mapped("left", at - PAGE, 7);
  TRY(shm_dt(at + 2 * PAGE));
  say_mapped("left", at - PAGE, 7);
}

static void detach_elsewhere(void* argument) {
  // A child may detach what it inherited; the parent's attach stays.
  char* at = argument;
  TRY(shm_dt(at));
  TRY(shm_dt(at));
}

static void inherited(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  in_child(detach_elsewhere, at);
  at[0] = 'p';
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say("nattch %lu", nattch_of(id));
}

static void larger_than_a_table(void) {
  // Odd sizes: what is detached is the segment rounded up to pages.
  static const unsigned long kSizes[] = {1, 4095, 4096, 4097, 12289, (4ul << 20) + 1};
  for (size_t i = 0; i < sizeof kSizes / sizeof *kSizes; ++i) {
    const int id = new_segment(kSizes[i]);
    const unsigned long pages = (kSizes[i] + PAGE - 1) / PAGE;
    char* at = free_range((pages + 16) * PAGE) + 8 * PAGE;
    reportf(shm_at(id, at, 0), "attach %lu bytes", kSizes[i]);
    say_mapped("  end", at + (pages - 1) * PAGE, 2);
    reportf(shm_dt(at), "  detach");
    say_mapped("  start", at, 1);
    say_mapped("  end", at + (pages - 1) * PAGE, 2);
  }
}

// Since Linux 6.10; what is sealed ends with its process, so this is one of its own.
static void sealed(void* unused) {
  (void)unused;
  enum { kMseal = 462 };
  const int id = new_segment(4 * PAGE);
  char* at = attach(id);
  TRY(syscall(kMseal, at + PAGE, PAGE, 0ul));
  say("a sealed page: nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say("detached around it: nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say("again: nattch %lu", nattch_of(id));
  TRY(shm_at(id, at, SHM_REMAP));
  TRY(shm_at(id, at, 0));
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("nattch %lu", nattch_of(id));
}

int main(void) {
  wrong_addresses();
  after_munmap();
  after_mprotect();
  after_mremap();
  neighbours();
  inherited();
  larger_than_a_table();
  in_child(sealed, NULL);
  say("end");
  return 0;
}
