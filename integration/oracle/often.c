// What a program sees that attaches often: shmvisor then leaves it to code of its own, which maps
// and unmaps once the call is answered. Failures, signals at any instant, handlers that do not
// return, the program's own filters, threads and forks, and what they leave behind.
#include <linux/seccomp.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>

#include "transcript.h"

static int id;

static void settle_in(void) {
  for (int i = 0; i < 20; ++i) {
    shm_dt(attach(id));
  }
}

static int descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    count += fcntl(fd, F_GETFD) != -1;
  }
  return count;
}

static void say_signal_mask(const char* when) {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  int blocked = 0;
  for (int i = 1; i < 64; ++i) {
    blocked += sigismember(&mask, i) == 1;
  }
  say("%s: %d signals blocked, SIGUSR2 %d", when, blocked, sigismember(&mask, SIGUSR2));
}

static void say_stamps(const char* label, int segment) {
  const struct shmid_ds now = stat_of(segment);
  say("%s: attached %d detached %d lpid mine %d other %d nattch %lu", label, now.shm_atime != 0,
      now.shm_dtime != 0, now.shm_lpid == getpid(), now.shm_lpid != 0 && now.shm_lpid != getpid(),
      (unsigned long)now.shm_nattch);
}

// An attach that fails leaves nothing: neither stamps nor descriptors nor blocked signals.
static void failures(void* unused) {
  (void)unused;
  settle_in();
  const int fresh = new_segment(4 * PAGE);
  const int before = descriptors();
  char* const taken = attach(id);
  TRY(shm_at(fresh, taken, 0));
  say_stamps("in the way", fresh);
  TRY(shm_at(fresh, (void*)(uintptr_t)0x7ffffffff000u, 0));
  say_stamps("beyond the end", fresh);
  struct rlimit kept;
  getrlimit(RLIMIT_AS, &kept);
  const struct rlimit little = {PAGE, kept.rlim_max};
  setrlimit(RLIMIT_AS, &little);
  TRY(shm_at(fresh, NULL, 0));
  TRY(shm_at(fresh, NULL, SHM_RDONLY));
  setrlimit(RLIMIT_AS, &kept);
  say_stamps("no address space", fresh);
  say_signal_mask("after failures");
  char* const at = attach(fresh);
  say_stamps("attached", fresh);
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
  const bool sealed = syscall(SYS_mseal, at, PAGE, 0) == 0;
  if (sealed) {
    TRY(shm_dt(at));
    say_stamps("sealed", fresh);
  }
  TRY(shm_dt(taken));
  TRY(shm_dt(taken));
  TRY(shm_ctl(fresh, IPC_RMID, NULL));
  say("descriptors kept: %d", descriptors() == before);
}

static volatile sig_atomic_t alarms;
static volatile sig_atomic_t failed_in_handler;

// Attaches, too, and looks at where it came from.
static void handle_alarm(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)info;
  const ucontext_t* const interrupted = context;
  ++alarms;
  // What the program had blocked, not what was blocked for its call.
  failed_in_handler += sigismember(&interrupted->uc_sigmask, SIGUSR1) != 0;
  failed_in_handler += sigismember(&interrupted->uc_sigmask, SIGUSR2) != 1;
  const long at = shm_at(id, NULL, 0);
  failed_in_handler += at == -1 || ((char*)at)[0] != 's' || shm_dt((void*)at) != 0;
}

static timer_t timer;

static void make_timer(int number) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = number;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
    die("timer_create");
  }
}

static void set_timer(long us) {
  const struct itimerspec once = {{0, 0}, {0, us * 1000}};
  timer_settime(timer, 0, &once, NULL);
}

// Also one that is a fault's: this one is sent, and the program waits for it as for any other.
static void under_signals(int number) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handle_alarm;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(number, &action, NULL);
  make_timer(number);
  const int before = descriptors();
  int failed = 0;
  alarms = 0;
  failed_in_handler = 0;
  for (int i = 0; i < 1500; ++i) {
    set_timer(10 + i % 60);
    const long at = shm_at(id, NULL, i % 2 == 0 ? 0 : SHM_RDONLY);
    failed += at == -1 || ((char*)at)[0] != 's';
    failed += shm_dt((void*)at) != 0;
  }
  // Natively all may be over before a timer is.
  set_timer(10);
  while (alarms == 0) {
  }
  set_timer(0);
  timer_delete(timer);
  say("under signals: %d failed, %d in the handler, which ran %d", failed, (int)failed_in_handler,
      alarms > 0);
  say_signal_mask("afterwards");
  say_stamps("afterwards", id);
  say("descriptors kept: %d", descriptors() == before);
}

static sigjmp_buf back;

static void jump(int number) {
  (void)number;
  siglongjmp(back, 1);
}

// An attach is made or it is not, wherever the handler jumps from.
static void handlers_that_jump(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = jump;
  sigaction(number, &action, NULL);
  make_timer(number);
  char* const place = free_range(PAGE);
  const int before = descriptors();
  volatile int jumps = 0;
  volatile int odd = 0;
  for (volatile int i = 0; i < 300; ++i) {
    if (sigsetjmp(back, 1) != 0) {
      ++jumps;
    } else {
      set_timer(20 + i % 50);
      for (;;) {
        shm_at(id, place, 0);
        shm_dt(place);
      }
    }
    set_timer(0);
    const bool attached = nattch_of(id) == 1;
    odd += (shm_dt(place) == 0) != attached;
    odd += nattch_of(id) != 0;
  }
  timer_delete(timer);
  say("jumped out: %d times, %d odd", (int)jumps, (int)odd);
  say_signal_mask("afterwards");
  say("descriptors kept: %d", descriptors() == before);
}

static void* attach_in_thread(void* argument) {
  long failed = 0;
  for (int i = 0; i < 400; ++i) {
    const long at = shm_at(id, NULL, 0);
    failed += at == -1 || ((char*)at)[0] != 's' || shm_dt((void*)at) != 0;
  }
  *(long*)argument = failed;
  return NULL;
}

static void attach_in_child(void* unused) {
  (void)unused;
  long failed = 0;
  attach_in_thread(&failed);
  if (failed != 0) {
    say("%ld failed in a child", failed);
  }
}

static void threads_and_forks(void) {
  pthread_t threads[4];
  long failed[4];
  const int before = descriptors();
  for (int i = 0; i < 4; ++i) {
    pthread_create(&threads[i], NULL, attach_in_thread, &failed[i]);
  }
  for (int i = 0; i < 4; ++i) {
    in_child(attach_in_child, NULL);
  }
  long sum = 0;
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
    sum += failed[i];
  }
  say("threads: %ld failed, nattch %lu", sum, nattch_settled(id, 0));
  say("descriptors kept: %d", descriptors() == before);
}

static pthread_barrier_t both;
static int shared;

static void* attach_in_the_way(void* taken) {
  for (int i = 0; i < 1000; ++i) {
    pthread_barrier_wait(&both);
    for (volatile int wait = 0; wait < i % 40 * 50; ++wait) {
    }
    shm_at(shared, taken, 0);
    pthread_barrier_wait(&both);
  }
  return NULL;
}

// Of two threads of one process, one of which cannot attach, the other one leaves its stamps.
static void failures_beside_others(void) {
  char* const taken = attach(id);
  pthread_t thread;
  pthread_barrier_init(&both, NULL, 2);
  pthread_create(&thread, NULL, attach_in_the_way, taken);
  int lost = 0;
  for (int i = 0; i < 1000; ++i) {
    shared = new_segment(PAGE);
    pthread_barrier_wait(&both);
    for (volatile int wait = 0; wait < 1000; ++wait) {
    }
    char* const at = attach(shared);
    pthread_barrier_wait(&both);
    const struct shmid_ds now = stat_of(shared);
    lost += now.shm_atime == 0 || now.shm_lpid != getpid();
    shm_dt(at);
    shm_ctl(shared, IPC_RMID, NULL);
  }
  pthread_join(thread, NULL);
  shm_dt(taken);
  say("beside failures: %d attaches left no stamps", lost);
}

enum { kMany = 400 };

static void* fail_often(void* taken) {
  const int mine = new_segment(PAGE);
  pthread_barrier_wait(&both);
  for (int i = 0; i < 20; ++i) {
    shm_at(mine, taken, 0);
  }
  pthread_barrier_wait(&both);
  const bool stamped = stat_of(mine).shm_atime != 0;
  shm_ctl(mine, IPC_RMID, NULL);
  return stamped ? taken : NULL;
}

// More threads than anybody remembers.
static void failures_of_many(void) {
  char* const taken = attach(id);
  static pthread_t threads[kMany];
  pthread_barrier_init(&both, NULL, kMany);
  for (int i = 0; i < kMany; ++i) {
    pthread_create(&threads[i], NULL, fail_often, taken);
  }
  int stamped = 0;
  for (int i = 0; i < kMany; ++i) {
    void* result = NULL;
    pthread_join(threads[i], &result);
    stamped += result != NULL;
  }
  shm_dt(taken);
  say("many threads: %d attaches that failed left stamps", stamped);
}

static volatile sig_atomic_t user_signals;

static void count_user_signal(int number) {
  (void)number;
  ++user_signals;
}

// With a filter that came later, of a program that needs no signal mask any more.
static void without_sigprocmask(void* unused) {
  (void)unused;
  settle_in();
  signal(SIGUSR1, count_user_signal);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (filter_call(SYS_rt_sigprocmask, 0, SECCOMP_RET_ERRNO | EPERM) != 0) {
    die("seccomp");
  }
  for (int i = 0; i < 20; ++i) {
    const long at = shm_at(id, NULL, 0);
    kill(getpid(), SIGUSR1);
    TRY(shm_dt((void*)at));
    kill(getpid(), SIGUSR1);
  }
  say("signals arrived: %d", (int)user_signals);
  const int before = descriptors();
  TRY(shm_at(id, (void*)(uintptr_t)0x7ffffffff000u, 0));
  kill(getpid(), SIGUSR1);
  say("signals arrived: %d", (int)user_signals);
  say("descriptors kept: %d", descriptors() == before);
}

int main(void) {
  id = new_segment(PAGE);
  char* const at = attach(id);
  strcpy(at, "segment");
  shm_dt(at);
  settle_in();
  in_child(failures, NULL);  // it may not be able to detach
  in_child(without_sigprocmask, NULL);
  threads_and_forks();
  failures_beside_others();
  failures_of_many();
  under_signals(SIGALRM);
  under_signals(SIGSEGV);
  under_signals(SIGTRAP);
  handlers_that_jump(SIGALRM);
  handlers_that_jump(SIGFPE);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("segments %d", segments_settled());
  say("end");
  return 0;
}
