// Execs that never end, in processes that have a segment attached, more of them than may keep a
// thread (LosableThreads): each closes a file of the attacker's file system on the way, which does
// not answer. Whoever opens their maps waits.
#include "fuse_files.h"

static void exec_for_ever(void* segment, int number) {
  (void)number;
  if (shm_at(*(int*)segment, NULL, 0) == -1) return;
  if (open("/mnt/file", O_RDWR | O_CLOEXEC) < 0) return;
  execl("/bin/sleep", "attack", "10", (char*)NULL);
}

static void look_for_ever(void* segment, int number) {
  (void)number;
  while (!time_is_up()) {
    struct shmid_ds ds;
    shm_ctl(*(int*)segment, IPC_STAT, &ds);
  }
}

void attack_exec_never_ends(void) {
  serve_files("/mnt", UNANSWERED(FUSE_FLUSH));
  become_nobody();
  int segment = make_segment(1, 0600);
  crowd(150, exec_for_ever, &segment);
  pause_for(0.3);
  crowd(2, look_for_ever, &segment);
  while (!time_is_up()) pause_for(0.05);
}
