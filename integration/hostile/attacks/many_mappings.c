// Ten processes with as many mappings as there may be, which is what a count of attaches walks
// through; and two that ask for it all the time.
#include "attack.h"

enum { kMappings = 60000 };

static void map_much(void* segment, int number) {
  (void)number;
  if (shm_at(*(int*)segment, NULL, 0) == -1) return;
  char* const at =
      mmap(NULL, kMappings * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (unsigned long page = 0; page < kMappings; page += 2) {
    if (mprotect(at + page * PAGE, PAGE, PROT_READ) != 0) break;
  }
  while (!time_is_up()) pause_for(0.1);
}

static void look_for_ever(void* segment, int number) {
  (void)number;
  while (!time_is_up()) {
    struct shmid_ds ds;
    shm_ctl(*(int*)segment, IPC_STAT, &ds);
  }
}

void attack_many_mappings(void) {
  int segment = make_segment(1, 0600);
  crowd(10, map_much, &segment);
  pause_for(0.5);
  crowd(2, look_for_ever, &segment);
  wait_for_crowd();
}
