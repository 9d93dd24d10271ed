// kernel.shm_rmid_forced with thousands of segments, of creators that live and of some that ended.
#include "attack.h"

static void create_and_end(void* unused, int number) {
  (void)unused;
  (void)number;
  for (int made = 0; made < 100; ++made) {
    const long at = shm_at(make_segment(1, 0600), NULL, 0);
    (void)at;
  }
}

void attack_rmid_forced(void) {
  if (!put("/proc/sys/kernel/shm_rmid_forced", "1")) {
    printf("shm_rmid_forced cannot be set here: %s\n", strerror(errno));
    exit(77);
  }
  static int ids[8000];
  int made = 0;
  while (made < 8000 && !time_is_up()) {
    const int id = make_segment(1, 0600);
    if (id < 0) break;
    ids[made++] = id;
  }
  while (!time_is_up()) {
    crowd(1, create_and_end, NULL);
    waitpid(-1, NULL, 0);
  }
  for (int i = 0; i < made; ++i) shm_ctl(ids[i], IPC_RMID, NULL);
  put("/proc/sys/kernel/shm_rmid_forced", "0");
}
