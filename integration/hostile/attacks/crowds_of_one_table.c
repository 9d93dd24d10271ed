// Processes that share one table of descriptors, one that shares the memory, and close and open
// whatever is there, while they attach.
#include "attack.h"

static int segment;

static int close_for_ever(void* unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (!time_is_up()) {
    for (int fd = 3; fd < 64; fd = fd == 11 ? 58 : fd + 1) close(fd);
    const int file = open("/dev/null", O_RDWR);
    (void)file;
  }
  return 0;
}

static int attach_for_ever(void* unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (!time_is_up()) {
    const long at = shm_at(segment, NULL, 0);
    if (at != -1) shm_dt((void*)at);
  }
  return 0;
}

void attack_crowds_of_one_table(void) {
  segment = make_segment(1, 0600);
  for (int number = 0; number < 6; ++number) {
    char* const stack = mmap(NULL, 64 * 1024, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    const int memory = number % 3 == 2 ? CLONE_VM : 0;
    clone(number % 2 == 0 ? close_for_ever : attach_for_ever, stack + 64 * 1024,
          CLONE_FILES | memory | SIGCHLD, NULL);
  }
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
