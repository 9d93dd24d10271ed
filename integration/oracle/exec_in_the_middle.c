// A thread execs while the others are in shmat, shmdt or shmctl; the new program goes on calling.
#include "transcript.h"

enum { kRounds = 40 };

static void* attach_for_ever(void* argument) {
  const int id = *(int*)argument;
  for (;;) {
    const long at = shm_at(id, NULL, 0);
    if (at != -1) {
      shm_dt((void*)at);
    }
  }
  return NULL;
}

static void* stat_for_ever(void* argument) {
  for (;;) {
    nattch_of(*(int*)argument);
  }
  return NULL;
}

static void* exec_soon(void* argument) {
  usleep(500);
  char id[16];
  snprintf(id, sizeof id, "%d", *(int*)argument);
  execl("/proc/self/exe", "exec_in_the_middle", id, (char*)NULL);
  _exit(1);
}

// After exec: the address space is new, and calls go on.
static int new_program(int id) {
  if (nattch_settled(id, 0) != 0) {
    return 2;
  }
  const long at = shm_at(id, NULL, 0);
  if (at == -1) {
    return 3;
  }
  if (nattch_of(id) != 1 || shm_dt((void*)at) != 0) {
    return 4;
  }
  return 21;
}

static void rounds(const char* name, void* (*body)(void*), bool exec_from_main) {
  int id = new_segment(2 * PAGE);
  int as_wanted = 0;
  for (int i = 0; i < kRounds; ++i) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      pthread_t threads[3];
      for (int t = 0; t < 2; ++t) {
        pthread_create(&threads[t], NULL, body, &id);
      }
      if (exec_from_main) {
        usleep((useconds_t)(i * 61 % 1000));
        exec_soon(&id);
      }
      pthread_create(&threads[2], NULL, exec_soon, &id);
      body(&id);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 21) {
      ++as_wanted;
    } else {
      say_end("round", status);
    }
  }
  say("%s: %d of %d, nattch %lu", name, as_wanted, kRounds, nattch_settled(id, 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(int argc, char** argv) {
  if (argc == 1) {
    rounds("shmat, exec by the main thread", attach_for_ever, true);
    rounds("shmat, exec by another thread", attach_for_ever, false);
    rounds("shmctl, exec by the main thread", stat_for_ever, true);
    rounds("shmctl, exec by another thread", stat_for_ever, false);
    say("segments left %d", segments_settled());
    say("end");
    return 0;
  }
  return new_program(atoi(argv[1]));
}
