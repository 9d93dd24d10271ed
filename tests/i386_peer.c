// What process_i386_test executes: attaches twice, does what it is told, and says by its exit
// status whether it sees the segment that was put in the old one's place, or nothing.
//
// i386_peer PASTIME replaced|gone; its standard input says when to go on.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kPages = 4 };

static volatile sig_atomic_t handled;

static void handle(int signal) { handled = signal; }

static int read_input(void) {
  char byte;
  return read(0, &byte, 1) == 1 ? 0 : 1;
}

// Each is 0 where nothing but the time was to be noticed.
static int pass(const char* pastime, const volatile char* memory) {
  if (!strcmp(pastime, "Spinning")) {
    unsigned long long turns = 1;
    unsigned long long again = 1;
    struct pollfd input = {0, POLLIN, 0};
    while (memory != NULL && poll(&input, 1, 0) == 0) {
      for (int i = 0; i < 1000; ++i) {
        turns = turns * 3 + 1;  // what the registers hold is not to be lost
        again = again * 3 + 1;
      }
    }
    return turns == again ? read_input() : 1;
  }
  if (!strcmp(pastime, "Polling")) {
    struct pollfd input = {0, POLLIN, 0};
    return poll(&input, 1, 60000) == 1 ? read_input() : 1;
  }
  if (!strcmp(pastime, "Sleeping")) {
    // Taken up again by restart_syscall(2), which has another number here.
    const struct timespec moment = {0, 300000000};
    return nanosleep(&moment, NULL) == 0 ? read_input() : 1;
  }
  if (!strcmp(pastime, "Selecting")) {
    fd_set inputs;
    FD_ZERO(&inputs);
    FD_SET(0, &inputs);
    struct timeval patience = {60, 0};
    return select(1, &inputs, NULL, NULL, &patience) == 1 ? read_input() : 1;
  }
  if (!strcmp(pastime, "Suspended")) {
    const struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR1, &action, NULL);
    sigset_t blocked;
    sigset_t others;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigfillset(&others);
    sigdelset(&others, SIGUSR1);
    if (sigsuspend(&others) != -1 || errno != EINTR || handled != SIGUSR1) {
      return 1;
    }
    sigprocmask(SIG_BLOCK, NULL, &others);
    return sigismember(&others, SIGUSR1) == 1 ? read_input() : 1;
  }
  return read_input();
}

static int is_mapped(char* at) {
  unsigned char residency;
  return mincore(at, kPage, &residency) == 0;
}

int main(int count, char** arguments) {
  if (count != 3) {
    return 10;
  }
  char* const memory = (char*)syscall(SYS_shmat, 1, NULL, 0);
  char* const read_only = (char*)syscall(SYS_shmat, 1, NULL, 010000);
  if (memory[0] != 'o' || read_only[0] != 'o' || mprotect(memory + kPage, kPage, PROT_READ) != 0 ||
      syscall(SYS_mlock2, memory + 3 * kPage, kPage, 1 /* MLOCK_ONFAULT */) != 0) {
    return 11;
  }
  if (pass(arguments[1], memory) != 0) {
    return 12;
  }
  if (!strcmp(arguments[2], "gone")) {
    return is_mapped(memory) || is_mapped(read_only) ? 13 : 0;
  }
  for (int page = 0; page < kPages; ++page) {
    if (memory[page * kPage] != 'n' || read_only[page * kPage] != 'n') {
      return 14;
    }
  }
  if (mprotect(read_only, kPage, PROT_READ | PROT_WRITE) != -1 || errno != EACCES) {
    return 15;
  }
  memory[0] = 'w';
  return 0;
}
