// injected ROUNDS THREADS [libc]: each thread attaches and detaches segments by raw calls, and
// looks after each whether anything but the result has changed: registers, the signal mask,
// descriptors, mappings, the counts of the segment. Ends with 0 where all was as it is natively.
// With libc the calls are those of the C library, whose call sites lead into the call page after a
// while.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int threads;
static int by_libc;
static int descriptors;
static pthread_barrier_t between;

static void diverge(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("injected: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static uint64_t own_mask(void) {
  uint64_t mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
  return mask;
}

static int open_descriptors(void) {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == NULL) diverge("opendir: %s", strerror(errno));
  int count = 0;
  while (readdir(folder) != NULL) ++count;
  closedir(folder);
  return count;
}

static void check_surroundings(const char* after, uint64_t mask, long result) {
  uint64_t now = own_mask();
  // Where no server follows it may have its signals back a moment later.
  for (int looks = 0; result == -ENOSYS && now != mask && looks < 2000; ++looks) {
    usleep(1000);
    now = own_mask();
  }
  if (now != mask) {
    diverge("%s: signal mask %llx, not %llx", after, (unsigned long long)now,
            (unsigned long long)mask);
  }
  if (threads == 1) {
    const int open = open_descriptors();
    if (open != descriptors) diverge("%s: %d descriptors, not %d", after, open, descriptors);
  }
}

#ifdef __x86_64__
static long raw_call(const char* what, long number, uint64_t first, uint64_t second,
                     uint64_t third) {
  const uint64_t mask = own_mask();
  uint64_t rdi = first, rsi = second, rdx = third;
  register uint64_t r8 __asm__("r8") = 0x8888;
  register uint64_t r9 __asm__("r9") = 0x9999;
  register uint64_t r10 __asm__("r10") = 0x1010;
  register uint64_t r12 __asm__("r12") = 0x1212;
  register uint64_t r13 __asm__("r13") = 0x1313;
  register uint64_t r14 __asm__("r14") = 0x1414;
  register uint64_t r15 __asm__("r15") = 0x1515;
  uint64_t rbx = 0xbbbb;
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+b"(rbx), "+r"(r8), "+r"(r9),
                     "+r"(r10), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                   :
                   : "rcx", "r11", "memory", "cc");
  if (rdi != first || rsi != second || rdx != third || r8 != 0x8888 || r9 != 0x9999 ||
      r10 != 0x1010 || r12 != 0x1212 || r13 != 0x1313 || r14 != 0x1414 || r15 != 0x1515 ||
      rbx != 0xbbbb) {
    diverge("%s: registers rdi %lx rsi %lx rdx %lx r8 %lx r9 %lx r10 %lx r12 %lx rbx %lx", what,
            (long)rdi, (long)rsi, (long)rdx, (long)r8, (long)r9, (long)r10, (long)r12, (long)rbx);
  }
  check_surroundings(what, mask, result);
  return result;
}
#else
static long raw_call(const char* what, long number, uint64_t first, uint64_t second,
                     uint64_t third) {
  const uint64_t mask = own_mask();
  long result = syscall(number, first, second, third);
  if (result < 0) result = -errno;
  check_surroundings(what, mask, result);
  return result;
}
#endif

static void check_count(int id, unsigned long attached, const char* after) {
  struct shmid_ds status;
  const long result = raw_call("IPC_STAT", SYS_shmctl, (uint64_t)id, IPC_STAT, (uintptr_t)&status);
  if (result != 0) diverge("IPC_STAT after %s: errno %ld", after, -result);
  if (status.shm_nattch != attached) {
    diverge("after %s: nattch %lu, not %lu", after, (unsigned long)status.shm_nattch, attached);
  }
  if (strcmp(after, "shmget") != 0 && status.shm_lpid != getpid()) {
    diverge("after %s: lpid %d, not %d", after, (int)status.shm_lpid, (int)getpid());
  }
}

static unsigned* attach(int id, void* place, int flags) {
  if (by_libc) {
    const uint64_t mask = own_mask();
    unsigned* const found = shmat(id, place, flags);
    if (found == (void*)-1) diverge("shmat: %s", strerror(errno));
    check_surroundings("shmat", mask, 0);
    return found;
  }
  const long result = raw_call("shmat", SYS_shmat, (uint64_t)id, (uintptr_t)place, (uint64_t)flags);
  if (result < 0 && result > -4096) diverge("shmat: errno %ld", -result);
  if (place != NULL && result != (long)(uintptr_t)place) diverge("shmat at %p: %lx", place, result);
  return (unsigned*)result;  // NOLINT: an address
}

static void detach(void* place) {
  if (by_libc) {
    const uint64_t mask = own_mask();
    if (shmdt(place) != 0) diverge("shmdt: %s", strerror(errno));
    check_surroundings("shmdt", mask, 0);
    return;
  }
  const long result = raw_call("shmdt", SYS_shmdt, (uintptr_t)place, 0, 0);
  if (result != 0) diverge("shmdt: errno %ld", -result);
}

static void round_of(unsigned number) {
  const int id =
      (int)raw_call("shmget", SYS_shmget, IPC_PRIVATE, 3 * 4096, (uint64_t)(IPC_CREAT | 0600));
  if (id < 0) diverge("shmget: errno %d", -id);
  check_count(id, 0, "shmget");
  unsigned* const first = attach(id, NULL, 0);
  check_count(id, 1, "shmat");
  first[1024] = number;
  unsigned* const second = attach(id, NULL, SHM_RDONLY);
  check_count(id, 2, "a second shmat");
  if (second == first || second[1024] != number) diverge("the second shmat shows another segment");
  detach(second);
  check_count(id, 1, "shmdt");
  // Another thread may have taken the place.
  unsigned* const third = attach(id, threads == 1 ? second : NULL, 0);
  check_count(id, 2, "shmat at an address");
  if (number % 2 != 0) {
    if (attach(id, third, SHM_REMAP) != third) diverge("SHM_REMAP");
    check_count(id, 2, "shmat with SHM_REMAP");
  }
  detach(first);
  if (third[1024] != number) diverge("the third shmat shows another segment");
  if (threads == 1) {
    const long again = raw_call("shmdt", SYS_shmdt, (uintptr_t)first, 0, 0);
    if (again != -EINVAL) diverge("a second shmdt: errno %ld", -again);
  }
  const long removed = raw_call("IPC_RMID", SYS_shmctl, (uint64_t)id, IPC_RMID, 0);
  if (removed != 0) diverge("IPC_RMID: errno %ld", -removed);
  check_count(id, 1, "IPC_RMID");
  detach(third);
  struct shmid_ds status;
  const long gone = raw_call("IPC_STAT", SYS_shmctl, (uint64_t)id, IPC_STAT, (uintptr_t)&status);
  if (gone != -EINVAL && gone != -EIDRM)
    diverge("IPC_STAT of a segment that is gone: errno %ld", -gone);
}

static void* run(void* rounds) {
  for (unsigned number = 0; number < *(unsigned*)rounds; ++number) {
    round_of(number);
    pthread_barrier_wait(&between);
  }
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  by_libc = argc == 4;
  unsigned rounds = (unsigned)atoi(argv[1]);
  threads = atoi(argv[2]);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  sigaddset(&mask, SIGRTMIN + 3);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  puts("begun");
  fflush(stdout);
  descriptors = open_descriptors();
  pthread_barrier_init(&between, NULL, (unsigned)threads);
  pthread_t others[16];
  for (int number = 1; number < threads; ++number) {
    pthread_create(&others[number], NULL, run, &rounds);
  }
  run(&rounds);
  for (int number = 1; number < threads; ++number) pthread_join(others[number], NULL);
  struct shm_info info;
  if (shmctl(0, SHM_INFO, (void*)&info) < 0) diverge("SHM_INFO: %s", strerror(errno));
  if (info.used_ids != 0) diverge("%d segments are left", info.used_ids);
  puts("whole");
  return 0;
}
