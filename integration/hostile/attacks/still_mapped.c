// Thousands of segments that are removed but mapped still; and some that come and go beside them.
#include "attack.h"

static void map_removed(void* unused, int number) {
  (void)unused;
  (void)number;
  int made = 0;
  while (made < 4000 && !time_is_up()) {
    const int id = make_segment(1, 0600);
    if (id < 0) break;
    (void)shm_at(id, NULL, 0);
    shm_ctl(id, IPC_RMID, NULL);
    ++made;
  }
  while (!time_is_up()) {
    const int id = make_segment(1, 0600);
    const long at = shm_at(id, NULL, 0);
    shm_ctl(id, IPC_RMID, NULL);
    if (at != -1) shm_dt((void*)at);
  }
}

void attack_still_mapped(void) {
  crowd(4, map_removed, NULL);
  wait_for_crowd();
}
