// with_state plain|state|closed COMMAND...: starts COMMAND with default or with unusual signal
// dispositions, mask, limits, umask, descriptors and priority, or without standard streams.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void unusual_state(void) {
  signal(SIGCHLD, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  signal(SIGRTMIN + 2, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGCHLD);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGALRM);
  sigaddset(&blocked, SIGRTMAX);
  sigaddset(&blocked, SIGSTKFLT);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
  umask(0137);
  setpriority(PRIO_PROCESS, 0, 5);
  const struct rlimit files = {123, 200};
  setrlimit(RLIMIT_NOFILE, &files);
  const struct rlimit core = {0, 4096};
  setrlimit(RLIMIT_CORE, &core);
  const struct rlimit stack = {4 << 20, 8 << 20};
  setrlimit(RLIMIT_STACK, &stack);
  prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0);
  // Descriptors with gaps between them, one of which goes at exec.
  const int zero = open("/dev/zero", O_RDONLY);
  dup2(zero, 5);
  dup2(zero, 50);
  dup2(zero, 100);
  dup3(zero, 7, O_CLOEXEC);
  close(zero);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    return 99;
  }
  if (strcmp(argv[1], "state") == 0) {
    unusual_state();
  } else if (strcmp(argv[1], "closed") == 0) {
    close(0);
    close(1);
    close(2);
  } else if (strcmp(argv[1], "input_closed") == 0) {
    close(0);
  }
  execv(argv[2], argv + 2);
  return 98;
}
