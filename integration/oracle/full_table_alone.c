// A process with a full descriptor table attaches: one that may make no process, one whose own
// filter refuses clone(2) or kills for it, one with another thread. Its hard limit is above the
// soft one, or where it may make a process also the same. It has a descriptor beyond both.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "transcript.h"

enum { kAttaches = 12, kSoft = 20, kBeyond = 200, kUser = 65534 };

enum Obstacle { kNone, kNoProcess, kRefused, kKilled, kThread, kObstacles };
static const char* const names[kObstacles] = {"none", "RLIMIT_NPROC", "a filter that refuses",
                                              "a filter that kills", "another thread"};

static void filter_clone(unsigned action) {
  struct sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_clone},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_clone3},
      {BPF_RET | BPF_K, 0, 0, action},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) say("no filter");
}

static void* sleep_on(void* unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

static void attach_with_a_full_table(int id, enum Obstacle obstacle, unsigned long hard) {
  pthread_t thread;
  if (obstacle == kThread) pthread_create(&thread, NULL, sleep_on, NULL);
  const struct rlimit limit = {kSoft, hard};
  setrlimit(RLIMIT_NOFILE, &limit);
  while (dup(0) >= 0) {
  }
  const struct rlimit none = {1, 1};
  if (obstacle == kNoProcess) setrlimit(RLIMIT_NPROC, &none);
  if (obstacle == kRefused) filter_clone(SECCOMP_RET_ERRNO | EPERM);
  if (obstacle == kKilled) filter_clone(SECCOMP_RET_KILL_PROCESS);
  int failures = 0;
  for (int i = 0; i < kAttaches; ++i) {
    const long at = shm_at(id, NULL, 0);
    if (at == -1 || shm_dt((void*)at) != 0) ++failures;
  }
  struct rlimit now;
  getrlimit(RLIMIT_NOFILE, &now);
  say("obstacle %s, hard limit %lu: failures %d", names[obstacle], hard, failures);
  say("the limits are %lu and %lu", (unsigned long)now.rlim_cur, (unsigned long)now.rlim_max);
  TRY(dup(0));
  TRY(waitpid(-1, NULL, __WALL | WNOHANG));
}

int main(void) {
  const int id = shm_get(IPC_PRIVATE, PAGE, IPC_CREAT | 0666);
  int ends[2];
  if (pipe(ends) == 0) dup2(ends[0], kBeyond);
  for (enum Obstacle obstacle = kNone; obstacle < kObstacles; ++obstacle) {
    for (int above = 1; above >= 0; --above) {
      if (above == 0 && obstacle != kNone && obstacle != kThread) continue;
      const pid_t child = fork();
      if (child == 0) {
        // Root has no RLIMIT_NPROC.
        if (geteuid() == 0 && (setresgid(kUser, kUser, kUser) || setresuid(kUser, kUser, kUser))) {
          _exit(1);
        }
        attach_with_a_full_table(id, obstacle, above ? 64 : kSoft);
        _exit(0);
      }
      int status = 0;
      waitpid(child, &status, 0);
      say("status %x", (unsigned)status);
    }
  }
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
