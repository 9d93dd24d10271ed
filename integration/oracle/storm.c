// Threads that use shared memory while a process next door sends each of them one signal after the
// other: no call is done twice, and none of their mappings and segments is lost or left over.
//
// The environment variable STORM_ROUNDS makes it longer. RESTART: see uninterrupted.h.
#include <stdatomic.h>
#include <sys/prctl.h>

#include "transcript.h"
#include "uninterrupted.h"

enum { kThreads = 4, kMostAttaches = 6, kMostComplaints = 10, kEnough = 20 };

static int rounds = 60;
static atomic_int complaints;
static atomic_ulong handled;

/// Whether threads fork, whose children have the other threads' mappings too.
static bool forks;

static bool expect(bool as_it_should_be, const char* what, long seen) {
  if (!as_it_should_be && atomic_fetch_add(&complaints, 1) < kMostComplaints) {
    say("%s: %ld %s", what, seen, seen == -1 ? strerrorname_np(errno) : "");
  }
  return as_it_should_be;
}

static void handle(int signal_number) {
  (void)signal_number;
  atomic_fetch_add(&handled, 1);
}

// What a handler attaches and detaches, in the middle of a call of the same kind.
static int common;

static void handle_by_calls(int signal_number) {
  (void)signal_number;
  const int saved = errno;
  const long at = UNINTERRUPTED(shm_at(common, NULL, 0));
  if (expect(at != -1, "shmat in a handler", at)) {
    const long result = UNINTERRUPTED(shm_dt((void*)at));
    expect(result == 0, "shmdt in a handler", result);
  }
  atomic_fetch_add(&handled, 1);
  errno = saved;
}

static void one_round(key_t key) {
  const long id = UNINTERRUPTED(shm_get(key, 3 * PAGE, IPC_CREAT | IPC_EXCL | 0600));
  if (!expect(id != -1, "shmget", id)) {
    shm_ctl((int)shm_get(key, 0, 0), IPC_RMID, NULL);
    return;
  }
  struct shmid_ds state;
  long at[kMostAttaches];
  for (int i = 0; i < kMostAttaches; ++i) {
    at[i] = UNINTERRUPTED(shm_at((int)id, NULL, i % 3 == 2 ? SHM_RDONLY : 0));
    if (!expect(at[i] != -1, "shmat", at[i])) {
      continue;
    }
    if (i % 3 != 2) {
      ((volatile char*)at[i])[PAGE] = (char)i;
    }
  }
  long result = UNINTERRUPTED(shm_ctl((int)id, IPC_STAT, &state));
  if (expect(result == 0, "IPC_STAT", result)) {
    expect(forks || state.shm_nattch == kMostAttaches, "attached", (long)state.shm_nattch);
  }
  // Over one that is there: a call that was made twice would not find what it replaces.
  result = UNINTERRUPTED(shm_at((int)id, (void*)at[0], SHM_REMAP));
  expect(result == at[0], "SHM_REMAP", result);
  // Repeated, a shmdt that was done would find nothing.
  for (int i = 0; i < kMostAttaches; ++i) {
    result = UNINTERRUPTED(shm_dt((void*)at[i]));
    expect(result == 0, "shmdt", result);
  }
  result = UNINTERRUPTED(shm_ctl((int)id, IPC_STAT, &state));
  if (expect(result == 0, "IPC_STAT in the end", result)) {
    expect(forks || state.shm_nattch == 0, "attached in the end", (long)state.shm_nattch);
  }
  result = UNINTERRUPTED(shm_ctl((int)id, IPC_RMID, NULL));
  expect(result == 0, "IPC_RMID", result);
}

static pid_t tids[kThreads];
static pthread_barrier_t all_there;

static void* use_shared_memory(void* argument) {
  const int number = *(int*)argument;
  tids[number] = (pid_t)syscall(SYS_gettid);
  pthread_barrier_wait(&all_there);
  pthread_barrier_wait(&all_there);
  for (int i = 0; i < rounds || (atomic_load(&handled) < kEnough && i < 1000000); ++i) {
    one_round(0x570 + number);
    if (!forks || i % 8 != 0) {
      continue;
    }
    const pid_t child = fork();  // under the same handlers, and nobody's aim
    if (child == 0) {
      one_round(0x5700 + number);
      _exit(atomic_load(&complaints) != 0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) != child) {
    }
    expect(status == 0, "a child's status", status);
  }
  return NULL;
}

static _Noreturn void send_signals(pid_t target, unsigned pause_us, bool stops) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (unsigned long i = 0;; ++i) {
    for (int one = 0; one < kThreads; ++one) {
      if (tids[one] == 0 ||
          syscall(SYS_tgkill, target, tids[one], one % 2 == 0 ? SIGUSR1 : SIGUSR2) != 0) {
        usleep(1000);
      }
    }
    if (stops && i % 16 == 0) {
      kill(target, SIGSTOP);
      kill(target, SIGCONT);
    }
    if (pause_us != 0) {
      usleep(pause_us);
    }
  }
}

static int mappings_left(void) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  int found = 0;
  while (fgets(line, sizeof(line), maps) != NULL) {
    found += strstr(line, "SYSV") != NULL;
  }
  fclose(maps);
  return found;
}

static void storm(const char* name, void (*handler)(int), unsigned pause_us, bool stops) {
  atomic_store(&complaints, 0);
  atomic_store(&handled, 0);
  common = new_segment(PAGE);
  struct sigaction action = {.sa_handler = handler, .sa_flags = RESTART};
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  pthread_barrier_init(&all_there, NULL, kThreads + 1);
  pthread_t threads[kThreads];
  int numbers[kThreads];
  sigset_t both;
  sigset_t before;
  sigemptyset(&both);
  sigaddset(&both, SIGUSR1);
  sigaddset(&both, SIGUSR2);
  for (int i = 0; i < kThreads; ++i) {
    numbers[i] = i;
    pthread_create(&threads[i], NULL, use_shared_memory, &numbers[i]);
  }
  pthread_barrier_wait(&all_there);
  pthread_sigmask(SIG_BLOCK, &both, &before);
  const pid_t target = getpid();
  const pid_t sender = fork();
  if (sender == 0) {
    send_signals(target, pause_us, stops);
  }
  pthread_barrier_wait(&all_there);
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
  }
  kill(sender, SIGKILL);
  waitpid(sender, NULL, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_barrier_destroy(&all_there);
  shm_ctl(common, IPC_RMID, NULL);
  // A removed segment may be there for a moment more, held by whoever serves the last call.
  for (int i = 0; i < 1000 && info_now().used_ids != 0; ++i) {
    usleep(1000);
  }
  say("%s: complaints %d, handled %d, mappings left %d, segments left %d", name,
      atomic_load(&complaints), atomic_load(&handled) >= kEnough, mappings_left(),
      info_now().used_ids);
}

int main(void) {
  if (getenv("STORM_ROUNDS") != NULL) {
    rounds = atoi(getenv("STORM_ROUNDS"));
  }
  storm("often", handle, 50, false);
  storm("without a pause", handle, 0, false);
  storm("with calls in the handler", handle_by_calls, 3000, false);
  storm("stopped and continued", handle, 200, true);
  forks = true;
  storm("with children", handle, 100, false);
  say("end");
  return 0;
}
