// IPC namespaces by the hundred, in user namespaces of the attacker's own, each with a segment,
// some held by nothing but a descriptor.
#include "attack.h"

static void unshare_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  while (!time_is_up()) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) != 0) _exit(77);
      for (int kept = 0; kept < 100 && !time_is_up(); ++kept) {
        const int id = make_segment(1, 0600);
        (void)shm_at(id, NULL, 0);
        if (open("/proc/self/ns/ipc", O_RDONLY) < 0) break;
        if (unshare(CLONE_NEWIPC) != 0) break;
      }
      _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
  }
}

void attack_inner_namespaces(void) {
  crowd(4, unshare_for_ever, NULL);
  wait_for_crowd();
}
