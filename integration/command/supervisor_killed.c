// Attaches and detaches until the calls fail with ENOSYS, because its supervisor was killed. Each
// result before that must be what it says, and nothing may be left afterwards: says what is wrong.
//
// Argument: how many attaches come before it says "ready".
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPage = 4096, kDescriptors = 1024 };

static int count_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < kDescriptors; ++fd) {
    count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  }
  return count;
}

static bool is_mapped(const void* address) {
  unsigned char resident = 0;
  return mincore((void*)(uintptr_t)address, kPage, &resident) == 0;
}

static volatile sig_atomic_t handled;

static void handle(int signal_number) {
  (void)signal_number;
  handled = handled + 1;
}

// The system call itself, and whether it kept the registers that it has to keep.
static long call(long number, long first, long second, long third, bool* kept) {
  long result = number;
  register long r10 __asm__("r10") = 10;
  register long r8 __asm__("r8") = 88;
  register long r9 __asm__("r9") = 99;
  long a = first;
  long b = second;
  long c = third;
  __asm__ volatile("syscall"
                   : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8), "+r"(r9)
                   :
                   : "rcx", "r11", "memory");
  *kept = a == first && b == second && c == third && r10 == 10 && r8 == 88 && r9 == 99;
  return result;
}

int main(int argc, char** argv) {
  const long quiet = argc > 1 ? atol(argv[1]) : 0;
  const int id = shmget(IPC_PRIVATE, kPage, 0600);
  signal(SIGUSR1, handle);
  const int descriptors = count_descriptors();
  sigset_t before;
  sigprocmask(SIG_BLOCK, NULL, &before);
  long result = 0;
  const char* last = "shmat";
  bool kept = true;
  bool kept_all = true;
  for (long round = 0;; ++round) {
    if (round == quiet) {
      puts("ready");
      fflush(stdout);
    }
    last = "shmat";
    result = call(SYS_shmat, id, 0, 0, &kept);
    kept_all = kept_all && kept;
    if (result < 0 && result > -4096) {
      break;
    }
    char* const at = (char*)(uintptr_t)result;
    if (result % kPage != 0 || !is_mapped(at)) {
      printf("shmat: %#lx\n", (unsigned long)result);
      break;
    }
    at[0] = 'x';
    last = "shmdt";
    result = call(SYS_shmdt, (long)(uintptr_t)at, 0, 0, &kept);
    kept_all = kept_all && kept;
    if (result < 0) {
      break;
    }
    if (result != 0 || is_mapped(at)) {
      printf("shmdt: %#lx\n", (unsigned long)result);
      break;
    }
  }
  if (result != -ENOSYS) {
    printf("%s: %ld\n", last, result);
  }
  sigset_t after;
  sigprocmask(SIG_BLOCK, NULL, &after);
  int blocked = 0;
  for (int signal_number = 1; signal_number < 65; ++signal_number) {
    blocked += sigismember(&after, signal_number) == 1 && sigismember(&before, signal_number) == 0;
  }
  if (blocked != 0) {
    printf("%s: %d signals blocked\n", last, blocked);
  }
  raise(SIGUSR1);
  if (handled != 1) {
    puts("a signal is not handled");
  }
  if (count_descriptors() != descriptors) {
    printf("%s: a descriptor is left\n", last);
  }
  if (!kept_all) {
    printf("%s: registers changed\n", last);
  }
  puts("end");
  return 0;
}
