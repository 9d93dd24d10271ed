// Many threads and many processes at once, on one segment and on their own.
#include <stdatomic.h>

#include "transcript.h"

enum { kThreads = 16, kRounds = 50, kProcesses = 24 };

static pthread_barrier_t barrier;
static atomic_int failures;
static int shared_id;

static void count_failure(const char* what) {
  if (atomic_fetch_add(&failures, 1) == 0) {
    say("first failure: %s: %s", what, strerrorname_np(errno));
  }
}

static void* attach_loop(void* argument) {
  const int me = (int)(intptr_t)argument;
  for (int round = 0; round < kRounds; ++round) {
    pthread_barrier_wait(&barrier);
    const long at = shm_at(shared_id, NULL, 0);
    if (at == -1) {
      count_failure("shmat");
      continue;
    }
    volatile int* words = (volatile int*)at;
    words[me] += 1;
    if (shm_dt((void*)at) != 0) {
      count_failure("shmdt");
    }
  }
  return NULL;
}

static void threads_on_one_segment(void) {
  shared_id = new_segment(PAGE);
  pthread_barrier_init(&barrier, NULL, kThreads);
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    pthread_create(&threads[i], NULL, attach_loop, (void*)(intptr_t)i);
  }
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
  }
  const int* words = (int*)attach(shared_id);
  int whole = 0;
  for (int i = 0; i < kThreads; ++i) {
    whole += words[i] == kRounds;
  }
  say("threads: complete %d, failures %d, nattch %lu", whole, atomic_load(&failures),
      nattch_of(shared_id));
  TRY(shm_dt(words));
  TRY(shm_ctl(shared_id, IPC_RMID, NULL));
}

static void* private_loop(void* unused) {
  (void)unused;
  for (int round = 0; round < kRounds; ++round) {
    const long id = shm_get(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    const long at = shm_at((int)id, NULL, 0);
    if (id < 0 || at == -1) {
      count_failure("shmget, shmat");
      continue;
    }
    char* bytes = (char*)at;
    if (bytes[0] != 0 || bytes[2 * PAGE] != 0) {
      count_failure("not zero");
    }
    memset(bytes, 0x7f, 3 * PAGE);
    if (nattch_of((int)id) != 1) {
      count_failure("nattch");
    }
    if (shm_ctl((int)id, IPC_RMID, NULL) != 0 || shm_dt(bytes) != 0) {
      count_failure("IPC_RMID, shmdt");
    }
  }
  return NULL;
}

static void threads_on_their_own(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    pthread_create(&threads[i], NULL, private_loop, NULL);
  }
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
  }
  say("private segments: failures %d, left %d", atomic_load(&failures), info_now().used_ids);
}

static atomic_int winners;
static atomic_int losers;

// Out of all that create one key exclusively, one wins.
static void* create_race(void* unused) {
  (void)unused;
  for (int round = 0; round < kRounds; ++round) {
    pthread_barrier_wait(&barrier);
    const long id = shm_get(0x7ace, PAGE, IPC_CREAT | IPC_EXCL | 0600);
    if (id >= 0) {
      atomic_fetch_add(&winners, 1);
    } else if (errno == EEXIST) {
      atomic_fetch_add(&losers, 1);
    }
    pthread_barrier_wait(&barrier);
    if (id >= 0) {
      shm_ctl((int)id, IPC_RMID, NULL);
    }
  }
  return NULL;
}

static void exclusive_creation(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    pthread_create(&threads[i], NULL, create_race, NULL);
  }
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
  }
  say("exclusive creation: winners %d losers %d, left %d", atomic_load(&winners),
      atomic_load(&losers), info_now().used_ids);
}

// One thread replaces an attach over and over while the others read through it.
static atomic_bool stop;

static void* read_through(void* argument) {
  volatile char* at = argument;
  int wrong = 0;
  while (!atomic_load(&stop)) {
    wrong += *at != 'r';
  }
  return (void*)(intptr_t)wrong;
}

static void replaced_under_readers(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  at[0] = 'r';
  pthread_t readers[2];
  for (int i = 0; i < 2; ++i) {
    pthread_create(&readers[i], NULL, read_through, at);
  }
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    refused += shm_at(id, at, SHM_REMAP) != (long)at;
  }
  atomic_store(&stop, true);
  intptr_t wrong = 0;
  for (int i = 0; i < 2; ++i) {
    void* count;
    pthread_join(readers[i], &count);
    wrong += (intptr_t)count;
  }
  say("replaced under readers: refused %d, wrong reads %ld, nattch %lu", refused, (long)wrong,
      nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_dt(at));
}

static int process_body(int id, int me) {
  for (int round = 0; round < kRounds; ++round) {
    const long at = shm_at(id, NULL, 0);
    if (at == -1) {
      return 1;
    }
    __atomic_fetch_add((int*)at + me, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add((int*)at + 512, 1, __ATOMIC_SEQ_CST);
    if (shm_dt((void*)at) != 0) {
      return 2;
    }
  }
  return 0;
}

static void processes(void) {
  const int id = new_segment(PAGE);
  pid_t children[kProcesses];
  fflush(stdout);
  for (int i = 0; i < kProcesses; ++i) {
    children[i] = fork();
    if (children[i] == 0) {
      _exit(process_body(id, i));
    }
  }
  int failed = 0;
  for (int i = 0; i < kProcesses; ++i) {
    int status;
    waitpid(children[i], &status, 0);
    failed += status != 0;
  }
  const int* words = (int*)attach(id);
  say("processes: failed %d, sum %d, nattch %lu", failed, words[512], nattch_of(id));
  TRY(shm_dt(words));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// Each generation attaches, forks two and detaches what it inherited.
static void storm(int id, char* inherited, int depth) {
  char* at = attach(id);
  __atomic_fetch_add((int*)at, 1, __ATOMIC_SEQ_CST);
  pid_t children[2];
  int count = 0;
  if (depth > 0) {
    for (; count < 2; ++count) {
      children[count] = fork();
      if (children[count] == 0) {
        storm(id, at, depth - 1);
        _exit(0);
      }
    }
  }
  if (inherited && shm_dt(inherited) != 0) {
    _exit(3);
  }
  for (int i = 0; i < count; ++i) {
    int status;
    waitpid(children[i], &status, 0);
    if (status != 0) {
      _exit(4);
    }
  }
  if (shm_dt(at) != 0) {
    _exit(5);
  }
}

static void fork_storm(void* argument) { storm(*(int*)argument, NULL, 5); }

int main(void) {
  threads_on_one_segment();
  threads_on_their_own();
  exclusive_creation();
  replaced_under_readers();
  processes();
  int id = new_segment(PAGE);
  in_child(fork_storm, &id);
  const int* count = (int*)attach(id);
  say("fork storm: %d processes, nattch %lu", *count, nattch_of(id));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_dt(count));
  say("left %d", info_now().used_ids);
  say("end");
  return 0;
}
