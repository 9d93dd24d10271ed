// As many segments as there are to be had, then one made and removed for ever.
#include "attack.h"

void attack_many_segments(void) {
  static int ids[40000];
  int made = 0;
  while (made < 40000 && !time_is_up()) {
    const int id = make_segment(1, 0600);
    if (id < 0) break;
    ids[made++] = id;
  }
  while (!time_is_up()) {
    const int id = make_segment(1, 0600);
    if (id >= 0) shm_ctl(id, IPC_RMID, NULL);
  }
  for (int i = 0; i < made; ++i) shm_ctl(ids[i], IPC_RMID, NULL);
}
