// Callers in a control group that is frozen and thawed, and at last stays frozen until they are
// killed.
#include "attack.h"

static char folder[128];

static void call_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  while (!time_is_up()) {
    const int id = make_segment(2, 0600);
    const long at = shm_at(id, NULL, 0);
    shm_ctl(id, IPC_RMID, NULL);
    if (at != -1) shm_dt((void*)at);
  }
}

static void set(const char* file, const char* value) {
  char path[192];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  put(path, value);
}

void attack_frozen(void) {
  // Of version 2, where what is frozen can be killed.
  snprintf(folder, sizeof folder, "/sys/fs/cgroup/unified/shmvisor-hostile-%d", (int)getpid());
  if (mkdir(folder, 0755) != 0) {
    snprintf(folder, sizeof folder, "/sys/fs/cgroup/shmvisor-hostile-%d", (int)getpid());
    if (mkdir(folder, 0755) != 0) {
      printf("no control group: %s\n", strerror(errno));
      exit(77);
    }
  }
  const pid_t keeper = fork();
  if (keeper == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set("cgroup.procs", "0");
    become_nobody();
    crowd(4, call_for_ever, NULL);
    while (!time_is_up()) pause_for(0.05);
    _exit(0);
  }
  for (int round = 0; !time_is_up(); ++round) {
    pause_for(0.002);
    set("cgroup.freeze", "1");
    pause_for(round % 50 == 49 ? 0.5 : 0.002);
    set("cgroup.freeze", "0");
  }
  set("cgroup.freeze", "1");
  set("cgroup.kill", "1");
  waitpid(keeper, NULL, 0);
  for (int tries = 0; tries < 100 && rmdir(folder) != 0; ++tries) pause_for(0.02);
}
