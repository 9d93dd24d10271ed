// A storm of signals while calls are under way: no call is repeated or lost, and with SA_RESTART
// none is interrupted. Usage: oracle_signals [MICROSECONDS], the time from one signal to the next.
// Handlers that attach get six times as long.
#include <stdatomic.h>

#include "transcript.h"
#include "uninterrupted.h"

enum { kRounds = 300 };

static long period_us = 500;

static volatile sig_atomic_t ticks;

static void on_tick(int signal_number) {
  (void)signal_number;
  ++ticks;
}

static void start_storm(int flags) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = flags};
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, period_us}, {0, period_us}};
  setitimer(ITIMER_REAL, &often, NULL);
}

static void end_storm(void) {
  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  signal(SIGALRM, SIG_IGN);
}

static int failures;

static bool works(long result, const char* what) {
  if (result != -1) {
    return true;
  }
  if (failures++ < 3) {
    say("%s: %s", what, strerrorname_np(errno));
  }
  return false;
}

static void calls_in_a_storm(const char* name, int flags) {
  failures = 0;
  ticks = 0;
  start_storm(flags);
  int rounds = 0;
  while (rounds < kRounds || (ticks < 20 && rounds < 2000000)) {
    ++rounds;
    const long id = UNINTERRUPTED(shm_get(0x516, 2 * PAGE, IPC_CREAT | IPC_EXCL | 0600));
    if (!works(id, "shmget")) {
      shm_ctl((int)shm_get(0x516, 0, 0), IPC_RMID, NULL);
      continue;
    }
    struct shmid_ds segment;
    const long at = UNINTERRUPTED(shm_at((int)id, NULL, 0));
    if (works(at, "shmat")) {
      *(volatile char*)at = 1;
      if (works(UNINTERRUPTED(shm_ctl((int)id, IPC_STAT, &segment)), "IPC_STAT") &&
          segment.shm_nattch != 1) {
        errno = ERANGE;
        works(-1, "nattch");
      }
      works(UNINTERRUPTED(shm_dt((void*)at)), "shmdt");
    }
    works(UNINTERRUPTED(shm_ctl((int)id, IPC_RMID, NULL)), "IPC_RMID");
  }
  end_storm();
  say("%s: failures %d, signals came: %d, segments left %d", name, failures, ticks >= 20,
      segments_settled());
}

// Real-time signals queue: as many are handled as were sent, with their values in order.
static volatile sig_atomic_t queued_next;
static volatile sig_atomic_t queued_wrong;

static void on_queued(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number;
  (void)context;
  queued_wrong += info->si_value.sival_int != queued_next;
  ++queued_next;
}

static void* send_queued(void* argument) {
  const int count = 500;
  for (int i = 0; i < count; ++i) {
    union sigval value = {.sival_int = i};
    while (pthread_sigqueue(*(pthread_t*)argument, SIGRTMIN, value) != 0) {
      usleep(100);
    }
    if (i % 8 == 0) {
      usleep(200);
    }
  }
  return NULL;
}

static void no_signal_is_lost(void) {
  struct sigaction action = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGRTMIN, &action, NULL);
  failures = 0;
  const int id = new_segment(PAGE);  // before there are signals
  pthread_t self = pthread_self();
  pthread_t sender;
  pthread_create(&sender, NULL, send_queued, &self);
  for (int i = 0; i < kRounds || queued_next < 500; ++i) {
    const long at = UNINTERRUPTED(shm_at(id, NULL, 0));
    if (works(at, "shmat")) {
      works(UNINTERRUPTED(shm_dt((void*)at)), "shmdt");
    }
  }
  pthread_join(sender, NULL);
  say("queued: handled %d, out of order %d, failures %d", (int)queued_next, (int)queued_wrong,
      failures);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// The calls made in a handler, which interrupts the same calls.
static int handler_id;
static atomic_int handler_failures;

static void on_tick_attach(int signal_number) {
  (void)signal_number;
  const int saved = errno;
  const long at = UNINTERRUPTED(shm_at(handler_id, NULL, 0));
  if (at == -1 || UNINTERRUPTED(shm_dt((void*)at)) != 0) {
    atomic_fetch_add(&handler_failures, 1);
  }
  ++ticks;
  errno = saved;
}

static void calls_in_the_handler(void) {
  handler_id = new_segment(PAGE);
  failures = 0;
  ticks = 0;
  struct sigaction action = {.sa_handler = on_tick_attach, .sa_flags = RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 6 * period_us}, {0, 6 * period_us}};
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < kRounds || ticks < 10; ++i) {
    const long at = UNINTERRUPTED(shm_at(handler_id, NULL, 0));
    if (works(at, "shmat")) {
      works(UNINTERRUPTED(shm_dt((void*)at)), "shmdt");
    }
  }
  end_storm();
  say("in the handler: failures %d inside %d, nattch %lu", failures, atomic_load(&handler_failures),
      nattch_of(handler_id));
  TRY(shm_ctl(handler_id, IPC_RMID, NULL));
}

// Stopped and continued over and over by its parent.
static void stopped_and_continued(void) {
  const int id = new_segment(PAGE);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < kRounds; ++i) {
      const long at = UNINTERRUPTED(shm_at(id, NULL, 0));
      if (at == -1 || UNINTERRUPTED(shm_dt((void*)at)) != 0) {
        _exit(1);
      }
    }
    _exit(0);
  }
  int status = 0;
  for (int i = 0; i < 100000; ++i) {
    kill(child, SIGSTOP);
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) {
      break;
    }
    kill(child, SIGCONT);
    usleep(500);
  }
  if (WIFSTOPPED(status)) {
    waitpid(child, &status, 0);
  }
  say_end("stopped and continued", status);
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(int argc, char** argv) {
  if (argc > 1) {
    period_us = atol(argv[1]);
  }
  calls_in_a_storm("handler", RESTART);
  calls_in_a_storm("handler that may be interrupted by itself", RESTART | SA_NODEFER);
  no_signal_is_lost();
  calls_in_the_handler();
  stopped_and_continued();
  say("end");
  return 0;
}
