// Large segments, allocated when they are created (run --commit), in a loop.
#include "attack.h"

static void create_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  while (!time_is_up()) {
    const int id = make_segment((512ul << 20) / PAGE, 0600);
    if (id >= 0) shm_ctl(id, IPC_RMID, NULL);
  }
}

void attack_committed(void) {
  crowd(2, create_for_ever, NULL);
  wait_for_crowd();
}
