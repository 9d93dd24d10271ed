// Many processes whose descriptor tables are full, attaching at the same time.
#include "transcript.h"

enum { kProcesses = 16, kRounds = 20 };

static int attach_with_a_full_table(int id) {
  const struct rlimit limit = {64, 64};
  setrlimit(RLIMIT_NOFILE, &limit);
  while (dup(0) >= 0) {
  }
  int failures = 0;
  for (int i = 0; i < kRounds; ++i) {
    const long at = shm_at(id, NULL, 0);
    if (at == -1 || shm_dt((void*)at) != 0) {
      ++failures;
    }
  }
  return failures;
}

int main(void) {
  const int id = new_segment(PAGE);
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      _exit(attach_with_a_full_table(id));
    }
  }
  int failures = 0;
  for (int i = 0; i < kProcesses; ++i) {
    int status = 0;
    wait(&status);
    failures += WIFEXITED(status) ? WEXITSTATUS(status) : kRounds;
  }
  say("failures %d, nattch %lu", failures, nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
