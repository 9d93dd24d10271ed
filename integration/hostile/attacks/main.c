// attack NAME SECONDS: attacks that long. Status 77 and a line that says why where the machine
// cannot do it.
#include "integration/hostile/attacks/attack.h"

#define ATTACK(name) void attack_##name(void);
#include "attack_list.inc"
#undef ATTACK

static const struct {
  const char* name;
  void (*run)(void);
} kAttacks[] = {
#define ATTACK(name) {#name, attack_##name},
#include "attack_list.inc"
#undef ATTACK
};

static struct timespec end;

bool time_is_up(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec > end.tv_sec || (time.tv_sec == end.tv_sec && time.tv_nsec >= end.tv_nsec);
}

void pause_for(double seconds) {
  const struct timespec time = {.tv_sec = (time_t)seconds,
                                .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
  nanosleep(&time, NULL);
}

int crowd(int count, void (*body)(void* argument, int number), void* argument) {
  int made = 0;
  for (int number = 0; number < count && !time_is_up(); ++number) {
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      body(argument, number);
      _exit(0);
    }
    ++made;
  }
  return made;
}

void wait_for_crowd(void) {
  int status = 0;
  while (!time_is_up()) {
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended < 0) return;
    if (ended == 0) pause_for(0.01);
  }
}

void become_nobody(void) {
  static const struct identity kNobody = {.name = "nobody", .uid = 65534, .gid = 65534};
  become(&kNobody);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

int make_segment(unsigned long pages, int mode) {
  return (int)shm_get(IPC_PRIVATE, pages * PAGE, IPC_CREAT | mode);
}

bool put(const char* path, const char* value) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = write(file, value, strlen(value)) == (ssize_t)strlen(value);
  close(file);
  return done;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const double seconds = strtod(argv[2], NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double fraction = seconds - (double)(time_t)seconds + 1e-9 * (double)end.tv_nsec;
  end.tv_sec += (time_t)seconds + (fraction >= 1);
  end.tv_nsec = (long)(1e9 * (fraction >= 1 ? fraction - 1 : fraction));
  // Whatever it is stuck in.
  alarm((unsigned)seconds + 8);
  for (size_t i = 0; i < sizeof kAttacks / sizeof *kAttacks; ++i) {
    if (strcmp(kAttacks[i].name, argv[1]) != 0) continue;
    kAttacks[i].run();
    return 0;
  }
  fprintf(stderr, "no attack %s\n", argv[1]);
  return 2;
}
