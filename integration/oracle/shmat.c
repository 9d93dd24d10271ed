// shmat(2): addresses, flags, bad identifiers. Protections and limits have programs of their own.
#include "access.h"
#include "transcript.h"

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
  at = shm_at(id, wanted + PAGE, SHM_RND);
  say("next page with SHM_RND: %ld", at - (long)wanted);
  TRY(shm_dt((void*)at));
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
  flag_bits();
  bad_identifiers();
  mapping_count();
  say("end");
  return 0;
}
