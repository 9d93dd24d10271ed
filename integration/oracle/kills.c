// SIGKILL at any moment of a call: nothing stays attached, nobody waits for ever.
#include "transcript.h"

enum { kVictims = 40, kKey = 0x4177 };

static void attach_for_ever(int id) {
  for (;;) {
    const long at = shm_at(id, NULL, 0);
    if (at != -1) {
      shm_dt((void*)at);
    }
  }
}

static void create_for_ever(int unused) {
  (void)unused;
  for (;;) {
    const long id = shm_get(kKey, PAGE, IPC_CREAT | 0600);
    if (id >= 0) {
      shm_ctl((int)id, IPC_RMID, NULL);
    }
  }
}

static void remap_for_ever(int id) {
  char* at = attach(id);
  for (;;) {
    shm_at(id, at, SHM_REMAP);
  }
}

static void stat_for_ever(int id) {
  attach(id);
  for (;;) {
    nattch_of(id);
  }
}

static void* attach_thread(void* argument) {
  attach_for_ever(*(int*)argument);
  return NULL;
}

static void attach_in_threads_for_ever(int id) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) {
    pthread_create(&threads[i], NULL, attach_thread, &id);
  }
  attach_for_ever(id);
}

static void fork_for_ever(int id) {
  attach(id);
  for (;;) {
    const pid_t child = fork();
    if (child == 0) {
      attach(id);
      _exit(0);
    }
    waitpid(child, NULL, 0);
  }
}

static void killed(const char* name, void (*body)(int)) {
  const int id = new_segment(4 * PAGE);
  int by_signal = 0;
  for (int i = 0; i < kVictims; ++i) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      body(id);
      _exit(0);
    }
    setpgid(child, child);
    usleep((useconds_t)(200 + i * 137 % 3000));
    kill(-child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    by_signal += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  // A grandchild may need a moment more to end; nothing of it may stay for ever.
  say("%s: killed %d, nattch %lu", name, by_signal, nattch_settled(id, 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  const long keyed = shm_get(kKey, 0, 0);
  if (keyed >= 0) {
    shm_ctl((int)keyed, IPC_RMID, NULL);
  }
  const int left = segments_settled();
  say("segments left %d, pages %lu", left, info_now().shm_tot);
}

// One thread is in a call when another ends the process.
static void exit_in_the_middle(void) {
  int id = new_segment(PAGE);
  int statuses = 0;
  for (int i = 0; i < kVictims; ++i) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      pthread_t threads[2];
      for (int t = 0; t < 2; ++t) {
        pthread_create(&threads[t], NULL, attach_thread, &id);
      }
      usleep((useconds_t)(100 + i * 53 % 1500));
      _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    statuses += WIFEXITED(status) && WEXITSTATUS(status) == 7;
  }
  say("exit in the middle: %d, nattch %lu", statuses, nattch_settled(id, 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(void) {
  killed("attaching", attach_for_ever);
  killed("creating", create_for_ever);
  killed("replacing", remap_for_ever);
  killed("asking", stat_for_ever);
  killed("attaching in threads", attach_in_threads_for_ever);
  killed("forking", fork_for_ever);
  exit_in_the_middle();
  // All still works.
  const int id = new_segment(PAGE);
  char* at = attach(id);
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
