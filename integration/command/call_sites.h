// What programs share that attach and detach from call sites which may be led elsewhere: two
// segments, the first bytes of which are 'm' and 'o', and what a program can see of itself.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

/// So many calls from one site, and it leads elsewhere if it ever does.
#define ENOUGH 64

static int id, other;

static void fail(const char* what) {
  printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(1);
}

static int count_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static int signals_blocked(void) {
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  int count = 0;
  for (int number = 1; number < 65; ++number) count += sigismember(&blocked, number) == 1;
  return count;
}

static unsigned long attaches(void) {
  struct shmid_ds ds;
  return shmctl(id, IPC_STAT, &ds) == 0 ? ds.shm_nattch : ~0UL;
}

static int once(void) {
  char* const memory = shmat(id, NULL, 0);
  if (memory == (void*)-1) return 0;
  const int right = *memory == 'm';
  return shmdt(memory) == 0 && right;
}

static void often(const char* when) {
  for (int round = 0; round < ENOUGH; ++round) {
    if (!once()) fail(when);
  }
}

static void make_segments(void) {
  id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  other = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  for (int which = 0; which < 2; ++which) {
    char* const memory = shmat(which == 0 ? id : other, NULL, 0);
    if (memory == (void*)-1) fail("shmat");
    *memory = which == 0 ? 'm' : 'o';
    shmdt(memory);
  }
}

static void remove_segments(void) {
  shmctl(id, IPC_RMID, NULL);
  shmctl(other, IPC_RMID, NULL);
}
