// dump_state FILE [ARG...]: writes to FILE what a program inherits from whoever started it.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char** environ;

enum { kFdLimit = 1024 };

static void dump_signals(FILE* out) {
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) != 0) {
      continue;
    }
    fprintf(out, "signal %d: %s%s\n", number,
            action.sa_handler == SIG_IGN   ? "ignored"
            : action.sa_handler == SIG_DFL ? "default"
                                           : "handled",
            sigismember(&mask, number) == 1 ? ", blocked" : "");
  }
}

static void dump_status(FILE* out) {
  static const char* const kFields[] = {"TracerPid", "Uid",    "Gid",    "Groups",
                                        "SigPnd",    "ShdPnd", "CapInh", "CapPrm",
                                        "CapEff",    "CapBnd", "CapAmb", "Cpus_allowed_list"};
  FILE* status = fopen("/proc/self/status", "r");
  char line[1024];
  while (status && fgets(line, sizeof line, status)) {
    for (size_t i = 0; i < sizeof kFields / sizeof *kFields; ++i) {
      if (strncmp(line, kFields[i], strlen(kFields[i])) == 0) {
        fputs(line, out);
      }
    }
  }
  if (status) {
    fclose(status);
  }
}

int main(int argc, char** argv) {
  // Before anything is opened.
  bool is_open[kFdLimit];
  for (int fd = 0; fd < kFdLimit; ++fd) {
    is_open[fd] = fcntl(fd, F_GETFD) >= 0;
  }
  const mode_t mask = umask(0);
  umask(mask);
  if (argc < 2) {
    return 99;
  }
  FILE* out = fopen(argv[1], "w");
  if (!out) {
    return 98;
  }
  for (int i = 2; i < argc; ++i) {
    fprintf(out, "argument '%s'\n", argv[i]);
  }
  for (char** variable = environ; *variable; ++variable) {
    fprintf(out, "environment %s\n", *variable);
  }
  char path[4096];
  fprintf(out, "directory %s\numask %o\n", getcwd(path, sizeof path), (unsigned)mask);
  for (int fd = 0; fd < kFdLimit; ++fd) {
    if (is_open[fd]) {
      char name[64];
      snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
      const ssize_t length = readlink(name, path, sizeof path - 1);
      path[length < 0 ? 0 : length] = 0;
      fprintf(out, "descriptor %d: %s flags %o %d\n", fd, path, (unsigned)fcntl(fd, F_GETFL),
              fcntl(fd, F_GETFD));
    }
  }
  dump_signals(out);
  for (int resource = 0; resource < (int)RLIM_NLIMITS; ++resource) {
    struct rlimit limit;
    getrlimit((__rlimit_resource_t)resource, &limit);
    fprintf(out, "limit %d: %lu %lu\n", resource, limit.rlim_cur, limit.rlim_max);
  }
  dump_status(out);
  int death_signal = -1;
  prctl(PR_GET_PDEATHSIG, &death_signal);
  int subreaper = -1;
  prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  fprintf(out, "priority %d scheduler %d timer slack %d dumpable %d\n",
          getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), prctl(PR_GET_TIMERSLACK),
          prctl(PR_GET_DUMPABLE));
  fprintf(out, "subreaper %d keepcaps %d securebits %d AT_SECURE %lu\n", subreaper,
          prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS), getauxval(AT_SECURE));
  fprintf(out, "in the session of its parent: %d\n", getsid(0) == getsid(getppid()));
  fclose(out);
  return 0;
}
