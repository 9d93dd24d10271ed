// shm_nattch: one for each mapping, whoever made it and whoever took it away.
#include <linux/sched.h>

#include "transcript.h"

static void forked(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  struct turns turns = make_turns();
  fflush(stdout);
  pid_t children[5];
  for (int i = 0; i < 5; ++i) {
    children[i] = fork();
    if (children[i] == 0) {
      signal_parent(&turns);
      await_parent(&turns);
      _exit(0);
    }
    await_child(&turns);
    say("forked %d: nattch %lu", i + 1, nattch_of(id));
  }
  kill(children[2], SIGKILL);
  waitpid(children[2], NULL, 0);
  say("one killed: nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  say("parent detached: nattch %lu", nattch_of(id));
  for (int i = 0; i < 4; ++i) {
    signal_child(&turns);
  }
  for (int i = 0; i < 5; ++i) {
    if (i != 2) {
      waitpid(children[i], NULL, 0);
    }
  }
  say("all gone: nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void zombie(void) {
  const int id = new_segment(PAGE);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    attach(id);
    attach(id);
    _exit(0);
  }
  siginfo_t info;
  waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
  say("a zombie maps nothing: nattch %lu", nattch_of(id));
  waitpid(child, NULL, 0);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void vforked(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  static unsigned long seen;
  static unsigned long seen_after;
  const pid_t child = vfork();
  if (child == 0) {
    struct shmid_ds segment;
    shm_ctl(id, IPC_STAT, &segment);
    seen = segment.shm_nattch;
    syscall(SYS_shmat, id, NULL, 0);
    shm_ctl(id, IPC_STAT, &segment);
    seen_after = segment.shm_nattch;
    _exit(0);
  }
  waitpid(child, NULL, 0);
  say("vfork: nattch %lu, after an attach of the child %lu, after its end %lu", seen, seen_after,
      nattch_of(id));
  TRY(shm_dt(at));
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void vfork_and_exec(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  struct turns turns = make_turns();
  char in[16];
  char out[16];
  snprintf(in, sizeof in, "%d", turns.to_child[0]);
  snprintf(out, sizeof out, "%d", turns.to_parent[1]);
  const pid_t child = vfork();
  if (child == 0) {
    execl("/proc/self/exe", "nattch", "wait", in, out, (char*)NULL);
    _exit(1);
  }
  await_child(&turns);
  say("vfork and exec: nattch %lu", nattch_of(id));
  signal_child(&turns);
  waitpid(child, NULL, 0);
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static struct turns clone_turns;

static int cloned(void* unused) {
  (void)unused;
  signal_parent(&clone_turns);
  await_parent(&clone_turns);
  return 0;
}

// A process that shares the address space without being a thread of it.
static void shared_address_space(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  clone_turns = make_turns();
  static char stack[65536] __attribute__((aligned(16)));
  const pid_t child = clone(cloned, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
  if (child < 0) {
    die("clone");
  }
  await_child(&clone_turns);
  say("CLONE_VM: nattch %lu", nattch_of(id));
  signal_child(&clone_turns);
  waitpid(child, NULL, 0);
  say("after its end: nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void* attach_in_thread(void* argument) { return attach(*(int*)argument); }

static void* wait_in_thread(void* unused) {
  (void)unused;
  signal_parent(&clone_turns);
  await_parent(&clone_turns);
  return NULL;
}

static void threads(void) {
  int id = new_segment(PAGE);
  void* at[3];
  for (int i = 0; i < 3; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, attach_in_thread, &id);
    pthread_join(thread, &at[i]);
    say("attached by an ended thread: nattch %lu", nattch_of(id));
  }
  clone_turns = make_turns();
  pthread_t waiting[4];
  for (int i = 0; i < 4; ++i) {
    pthread_create(&waiting[i], NULL, wait_in_thread, NULL);
    await_child(&clone_turns);
  }
  say("with four more threads: nattch %lu", nattch_of(id));
  for (int i = 0; i < 4; ++i) {
    signal_child(&clone_turns);
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(waiting[i], NULL);
  }
  for (int i = 0; i < 3; ++i) {
    TRY(shm_dt(at[i]));
  }
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// The main thread of a process ends while another goes on.
static void* outlive_main_thread(void* argument) {
  struct turns* turns = argument;
  usleep(1000);
  signal_parent(turns);
  await_parent(turns);
  _exit(0);
}

static void main_thread_gone(void) {
  const int id = new_segment(PAGE);
  struct turns turns = make_turns();
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    attach(id);
    pthread_t thread;
    pthread_create(&thread, NULL, outlive_main_thread, &turns);
    syscall(SYS_exit, 0);
  }
  await_child(&turns);
  say("main thread gone: nattch %lu", nattch_of(id));
  signal_child(&turns);
  waitpid(child, NULL, 0);
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void pieces(void) {
  const int id = new_segment(8 * PAGE);
  char* at = free_range(32 * PAGE) + 8 * PAGE;
  TRY(shm_at(id, at, 0));
  TRY(mprotect(at, PAGE, PROT_READ));
  say("nattch %lu", nattch_of(id));
  TRY(mprotect(at + 7 * PAGE, PAGE, PROT_NONE));
  say("nattch %lu", nattch_of(id));
  TRY(mprotect(at + 3 * PAGE, 2 * PAGE, PROT_READ));
  say("nattch %lu", nattch_of(id));
  TRY(munmap(at + 4 * PAGE, PAGE));
  say("nattch %lu", nattch_of(id));
  TRY(munmap(at, 2 * PAGE));
  say("nattch %lu", nattch_of(id));
  fflush(stdout);
  struct turns turns = make_turns();
  const pid_t child = fork();
  if (child == 0) {
    signal_parent(&turns);
    await_parent(&turns);
    _exit(0);
  }
  await_child(&turns);
  say("forked in pieces: nattch %lu", nattch_of(id));
  signal_child(&turns);
  waitpid(child, NULL, 0);
  TRY(munmap(at, 8 * PAGE));
  say("nattch %lu", nattch_of(id));

  say("left out by MADV_DONTFORK");
  TRY(shm_at(id, at, 0));
  TRY(madvise(at, 8 * PAGE, MADV_DONTFORK));
  fflush(stdout);
  const pid_t other = fork();
  if (other == 0) {
    signal_parent(&turns);
    await_parent(&turns);
    _exit(0);
  }
  await_child(&turns);
  say("nattch %lu", nattch_of(id));
  signal_child(&turns);
  waitpid(other, NULL, 0);
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void through_every_command(void) {
  const int id = new_segment(PAGE);
  attach(id);
  attach(id);
  struct shmid_ds segment;
  shm_ctl(id, IPC_STAT, &segment);
  say("IPC_STAT %lu", (unsigned long)segment.shm_nattch);
  shm_ctl(id & 0x7fff, SHM_STAT, &segment);
  say("SHM_STAT %lu", (unsigned long)segment.shm_nattch);
  shm_ctl(id & 0x7fff, 15 /* SHM_STAT_ANY */, &segment);
  say("SHM_STAT_ANY %lu", (unsigned long)segment.shm_nattch);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void many_attaches(void) {
  enum { kCount = 1000 };
  static char* at[kCount];
  const int id = new_segment(PAGE);
  for (int i = 0; i < kCount; ++i) {
    at[i] = attach(id);
  }
  say("nattch %lu", nattch_of(id));
  at[0][0] = 'm';
  int same = 0;
  for (int i = 0; i < kCount; ++i) {
    same += at[i][0] == 'm';
  }
  say("all show the same: %d", same);
  for (int i = 0; i < kCount; i += 2) {
    shm_dt(at[i]);
  }
  say("nattch %lu", nattch_of(id));
  for (int i = 1; i < kCount; i += 2) {
    shm_dt(at[i]);
  }
  say("nattch %lu", nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(int argc, char** argv) {
  if (argc == 4) {
    struct turns turns = {{atoi(argv[2]), -1}, {-1, atoi(argv[3])}};
    signal_parent(&turns);
    await_parent(&turns);
    return 0;
  }
  forked();
  zombie();
  vforked();
  vfork_and_exec();
  shared_address_space();
  threads();
  main_thread_gone();
  pieces();
  through_every_command();
  many_attaches();
  say("end");
  return 0;
}
