// Sixty processes with thousands of descriptors each, which is where whoever asks what IPC
// namespaces are still held has to look.
#include "attack.h"

static void hold(void* unused, int number) {
  (void)unused;
  (void)number;
  for (;;) {
    if (dup(0) < 0) break;
  }
  while (!time_is_up()) pause_for(0.1);
}

void attack_own_descriptors(void) {
  struct rlimit most;
  getrlimit(RLIMIT_NOFILE, &most);
  most.rlim_cur = most.rlim_max > 19000 ? 19000 : most.rlim_max;
  setrlimit(RLIMIT_NOFILE, &most);
  if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0) make_segment(1, 0600);
  crowd(60, hold, NULL);
  while (!time_is_up()) {
    if (unshare(CLONE_NEWIPC) == 0) make_segment(1, 0600);
    pause_for(0.01);
  }
}
