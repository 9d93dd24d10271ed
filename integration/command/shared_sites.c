// Attaches and detaches from the C library's call sites beside other threads, processes that share
// the address space, and signals. What it prints is the same natively, whether a supervisor has the
// sites lead elsewhere or not.
//
// `shared_sites WHAT`, one of the tests below.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "call_sites.h"

// --- Whose address space it is.

static int child_of_stack(void* unused) {
  (void)unused;
  for (int round = 0; round < 4; ++round) {
    if (!once()) return 1;
  }
  return 0;
}

static int ended_well(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, __WALL) != pid) fail("waitpid");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_processes(char* self) {
  char* const stack = malloc(65536);
  // Shared already when the sites would be changed.
  const pid_t sharer = clone(child_of_stack, stack + 65536, CLONE_VM | SIGCHLD, NULL);
  often("beside a sharer");
  printf("sharer: %d\n", ended_well(sharer));
  for (int round = 0; round < 20; ++round) {
    char* const kept = shmat(id, NULL, 0);
    const pid_t child = fork();
    if (child == 0) {
      int right = shmdt(kept) == 0;
      for (int more = 0; more < 10; ++more) right = right && once();
      _exit(!right);
    }
    if (!ended_well(child) || shmdt(kept) != 0) fail("fork");
  }
  pid_t child = vfork();
  if (child == 0) _exit(!once());
  printf("vfork: %d, then %d\n", ended_well(child), once());
  child = clone(child_of_stack, stack + 65536, CLONE_VM | SIGCHLD, NULL);
  for (int round = 0; round < 4; ++round) {
    if (!once()) fail("beside a child");
  }
  printf("clone: %d\n", ended_well(child));
  child = clone(child_of_stack, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
  printf("clone like vfork: %d, %lu attached\n", ended_well(child), attaches());
  fflush(stdout);
  execl(self, self, "executed", NULL);
  fail("exec");
}

// --- Threads.

static volatile int over;

static void* meddle(void* unused) {
  (void)unused;
  // What is opened where another descriptor was just closed must never be mapped, nor lost.
  while (!over) {
    const int a = open("/dev/null", O_RDONLY), b = dup(a);
    for (int number = 48; number < 64; number += 5) dup2(a, number);
    for (int number = 48; number < 64; ++number) close(number);
    close(a);
    close(b);
  }
  return NULL;
}

static void* attach_many(void* failures) {
  for (int round = 0; round < 200; ++round) {
    char* const memory = shmat(id, NULL, 0);
    if (memory == (void*)-1 || *memory != 'm' || shmdt(memory) != 0) ++*(long*)failures;
  }
  return NULL;
}

static void test_threads(void) {
  enum { kThreads = 20 };
  often("often");
  pthread_t threads[kThreads], meddler;
  long failures[kThreads] = {0}, all = 0;
  for (int at = 0; at < kThreads; ++at) {
    pthread_create(&threads[at], NULL, attach_many, &failures[at]);
  }
  for (int at = 0; at < kThreads; ++at) {
    pthread_join(threads[at], NULL);
    all += failures[at];
  }
  printf("%ld failures\n", all);
  pthread_create(&meddler, NULL, meddle, NULL);
  attach_many(&all);
  over = 1;
  pthread_join(meddler, NULL);
  printf("beside a meddler: %ld failures, %lu attached\n", all, attaches());
}

// --- Signals.

static sigjmp_buf back;
static volatile int handled, faults;
static enum { kReturn, kAttach, kJump } how;

static void handle(int number) {
  (void)number;
  const int kept = errno;
  ++handled;
  if (how == kAttach && !once()) ++faults;
  if (how == kJump) siglongjmp(back, 1);
  errno = kept;
}

static void with_signals(const char* name, int flags, long microseconds) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, microseconds}, {0, microseconds}};
  const int descriptors = count_descriptors();
  setitimer(ITIMER_REAL, &timer, NULL);
  for (volatile int round = 0; round < 1500; ++round) {
    if (sigsetjmp(back, 1) == 0 && !once()) ++faults;
  }
  timer = (struct itimerval){0};
  setitimer(ITIMER_REAL, &timer, NULL);
  printf("%s: handled %d, %d faults, %d blocked, %d descriptors more, then %d\n", name, handled > 0,
         faults, signals_blocked(), count_descriptors() - descriptors, once());
  handled = 0;
}

static void test_signals(void) {
  stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
  sigaltstack(&alternate, NULL);
  often("often");
  how = kReturn;
  with_signals("returns", 0, 130);
  with_signals("restarts, on an alternate stack", SA_RESTART | SA_ONSTACK, 170);
  how = kAttach;
  with_signals("attaches", SA_RESTART, 310);
  printf("%lu attached\n", attaches());
  fflush(stdout);
  // What a jump leaves attached, it leaves natively.
  const pid_t child = fork();
  if (child == 0) {
    how = kJump;
    with_signals("jumps", 0, 210);
    with_signals("jumps, on an alternate stack", SA_ONSTACK, 230);
    exit(0);
  }
  printf("child: %d\n", ended_well(child));
}

/// Signals at each instruction: a program that traps after each one.
static volatile unsigned long steps;
static void step(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)info;
  (void)context;
  ++steps;
}

static void test_steps(void) {
  often("often");
  struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  int right = 1;
  for (int round = 0; round < 3; ++round) {
    __asm__ volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf; add $128, %%rsp" ::
                         : "memory", "cc");
    const int so = once();
    __asm__ volatile("sub $128, %%rsp; pushf; andl $~0x100, (%%rsp); popf; add $128, %%rsp" ::
                         : "memory", "cc");
    right = right && so;
  }
  sigaction(SIGTRAP, NULL, &action);
  printf("steps: %d, handled %d, handler kept %d, %d blocked, then %d\n", right, steps > 10,
         action.sa_sigaction == step, signals_blocked(), once());
}

int main(int count, char** words) {
  const char* const what = count > 1 ? words[1] : "";
  make_segments();
  if (strcmp(what, "processes") == 0) test_processes(words[0]);
  if (strcmp(what, "executed") == 0) printf("executed: %d\n", once());
  if (strcmp(what, "threads") == 0) test_threads();
  if (strcmp(what, "signals") == 0) test_signals();
  if (strcmp(what, "steps") == 0) test_steps();
  remove_segments();
  return 0;
}
