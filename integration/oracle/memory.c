// The memory itself: shared between processes and attaches, kept between them, private to a
// segment; and the kernel's own calls work on it.
#include <linux/futex.h>
#include <sys/uio.h>

#include "transcript.h"

static void writes_in_child(void* argument) { strcpy(argument, "from the child"); }

static void attaches_in_child(void* argument) {
  char* at = attach(*(int*)argument);
  say("child reads: %s", at);
  strcpy(at, "from another attach");
}

static void sharing(void) {
  int id = new_segment(3 * PAGE);
  char* at = attach(id);
  in_child(writes_in_child, at);
  say("%s", at);
  in_child(attaches_in_child, &id);
  say("%s", at);
  char* twin = attach(id);
  say("%s", twin);
  twin[2 * PAGE] = 't';
  say("%c", at[2 * PAGE]);
  shm_dt(at);
  shm_dt(twin);
  at = attach(id);
  say("kept: %s %c", at, at[2 * PAGE]);
  const int other = new_segment(3 * PAGE);
  char* other_at = attach(other);
  say("another segment is zero: %d", other_at[0] == 0 && other_at[2 * PAGE] == 0);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_ctl(other, IPC_RMID, NULL));
  say("usable after IPC_RMID: %s", at);
  shm_dt(at);
  shm_dt(other_at);
}

struct exchange {
  int turn;
  int sum;
  pthread_mutex_t mutex;
};

static long futex(int* word, int operation, int value) {
  return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

// A futex that is shared works between attaches of different processes at different addresses.
static void futexes(void) {
  const int id = new_segment(PAGE);
  struct exchange* exchange = (struct exchange*)attach(id);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&exchange->mutex, &attributes);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    shm_dt(exchange);
    exchange = (struct exchange*)shm_at(id, free_range(64 * PAGE) + 32 * PAGE, 0);
    for (int i = 0; i < 1000; ++i) {
      while (__atomic_load_n(&exchange->turn, __ATOMIC_SEQ_CST) != 1) {
        futex(&exchange->turn, FUTEX_WAIT, 0);
      }
      exchange->sum += 1;
      __atomic_store_n(&exchange->turn, 0, __ATOMIC_SEQ_CST);
      futex(&exchange->turn, FUTEX_WAKE, 1);
    }
    pthread_mutex_lock(&exchange->mutex);
    _exit(0);
  }
  for (int i = 0; i < 1000; ++i) {
    while (__atomic_load_n(&exchange->turn, __ATOMIC_SEQ_CST) != 0) {
      futex(&exchange->turn, FUTEX_WAIT, 1);
    }
    exchange->sum += 1;
    __atomic_store_n(&exchange->turn, 1, __ATOMIC_SEQ_CST);
    futex(&exchange->turn, FUTEX_WAKE, 1);
  }
  waitpid(child, NULL, 0);
  say("futex: %d", exchange->sum);
  say("robust mutex of the dead: %s", strerrorname_np(pthread_mutex_lock(&exchange->mutex)));
  shm_dt(exchange);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void kernel_access(void) {
  const int id = new_segment(2 * PAGE);
  char* at = attach(id);
  char* read_only = (char*)shm_at(id, NULL, SHM_RDONLY);
  int pipes[2];
  if (pipe(pipes) != 0) {
    die("pipe");
  }
  strcpy(at, "through a pipe");
  TRY_VALUE(write(pipes[1], read_only, 15));
  TRY_VALUE(read(pipes[0], at + PAGE - 7, 15));
  say("%s", read_only + PAGE - 7);
  TRY_VALUE(write(pipes[1], "xyz", 3));
  TRY_VALUE(read(pipes[0], read_only, 3));
  struct iovec vector = {at, 4};
  TRY_VALUE(vmsplice(pipes[1], &vector, 1, 0));
  TRY(madvise(at, 2 * PAGE, MADV_DONTNEED));
  say("kept over MADV_DONTNEED: %s", at);
  TRY(msync(at, 2 * PAGE, MS_SYNC));
  TRY(mlock(at, 2 * PAGE));
  TRY(munlock(at, 2 * PAGE));
  TRY(madvise(at, PAGE, MADV_REMOVE));
  say("after MADV_REMOVE: %d %s", at[0], at + PAGE);
  unsigned char resident[2];
  at[PAGE] = 'r';
  TRY(mincore(at, 2 * PAGE, resident));
  TRY(shm_dt(read_only));
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void large(void) {
  enum { kSize = 96 << 20 };
  const int id = new_segment(kSize);
  char* at = attach(id);
  for (unsigned long i = 0; i < kSize; i += 1 << 20) {
    at[i] = (char)(i >> 20);
  }
  char* twin = attach(id);
  int wrong = 0;
  for (unsigned long i = 0; i < kSize; i += 1 << 20) {
    wrong += twin[i] != (char)(i >> 20);
  }
  say("large: wrong %d, pages in use %lu", wrong, info_now().shm_rss);
  shm_dt(at);
  shm_dt(twin);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(void) {
  sharing();
  futexes();
  kernel_access();
  large();
  say("end");
  return 0;
}
