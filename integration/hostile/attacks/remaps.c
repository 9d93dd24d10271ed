// Attaches over attaches, splits them, moves them, protects parts: thousands of mappings that
// change all the time, and others that ask for their number.
#include "attack.h"

static void remap_for_ever(void* segment, int number) {
  (void)number;
  const int id = *(int*)segment;
  char* const place = free_range(64 * PAGE);
  for (unsigned round = 0; !time_is_up(); ++round) {
    char* const at = place + (round % 48) * PAGE;
    (void)shm_at(id, at, SHM_REMAP | (round % 2 == 0 ? 0 : SHM_RDONLY));
    if (round % 3 == 0) munmap(at + PAGE, PAGE);
    if (round % 5 == 0) mprotect(at, PAGE, PROT_READ);
    if (round % 7 == 0)
      mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 9 * PAGE);
    struct shmid_ds ds;
    if (round % 4 == 0) shm_ctl(id, IPC_STAT, &ds);
    if (round % 11 == 0) shm_dt(at);
  }
}

void attack_remaps(void) {
  int segment = make_segment(8, 0600);
  crowd(4, remap_for_ever, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
