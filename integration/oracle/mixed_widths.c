// Programs of 64 and of 32 bits share segments: this one, built for both. The first argument names
// the other build; with more arguments it is the peer that the first one executes.
#include <linux/futex.h>

#include "transcript.h"

// The same in both.
struct exchange {
  uint32_t turn;
  uint32_t rounds;
  uint64_t sum;
};

static const char* peer_program;

static long futex(uint32_t* word, int operation, uint32_t value) {
  return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void take_turns(struct exchange* exchange, uint32_t mine) {
  for (int i = 0; i < 500; ++i) {
    while (__atomic_load_n(&exchange->turn, __ATOMIC_SEQ_CST) != mine) {
      futex(&exchange->turn, FUTEX_WAIT, !mine);
    }
    exchange->sum += mine ? 1ull << 32 : 1;
    __atomic_store_n(&exchange->turn, !mine, __ATOMIC_SEQ_CST);
    futex(&exchange->turn, FUTEX_WAKE, 1);
  }
}

static _Noreturn void execute_peer(const char* part, int id) {
  char number[16];
  snprintf(number, sizeof number, "%d", id);
  fflush(stdout);
  execl(peer_program, "peer", "/proc/self/exe", part, number, (char*)NULL);
  die(peer_program);
}

static int run_peer(const char* part, int id) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    execute_peer(part, id);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

// Field by field, in the layout of whoever asks; sizes as long as it can show them.
static void say_segment(int id) {
  const struct shmid_ds segment = stat_of(id);
  say("%zu bits: size %zu nattch %lu mode %o uid %u cpid mine %d lpid mine %d", 8 * sizeof(long),
      segment.shm_segsz, (unsigned long)segment.shm_nattch, segment.shm_perm.mode,
      segment.shm_perm.uid, segment.shm_cpid == getpid(), segment.shm_lpid == getpid());
  struct shminfo limits;
  TRY_VALUE(shm_ctl(0, IPC_INFO, (void*)&limits) >= 0);
  say("shmmax %lx shmall %lx", limits.shmmax, limits.shmall);
}

static void share(int id) {
  say_segment(id);
  struct exchange* exchange = (struct exchange*)attach(id);
  say("nattch %lu", nattch_of(id));
  take_turns(exchange, 1);
  TRY(mprotect((char*)exchange + PAGE, PAGE, PROT_READ));
  say("in two pieces: nattch %lu", nattch_of(id));
  struct shmid_ds segment = stat_of(id);
  segment.shm_perm.mode = 0640;
  segment.shm_perm.uid = 70000;
  TRY(shm_ctl(id, IPC_SET, &segment));
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_dt(exchange));
}

// A segment that not all programs have the addresses for.
static void too_large(int id) {
  say_segment(id);
  const long at = shm_at(id, NULL, SHM_RDONLY);
  reportf(at, "an attach, %zu bits", 8 * sizeof(long));
  if (at != -1) {
    say("%d at its end", ((char*)at)[(5ull << 30) - 1]);
    TRY(shm_dt((void*)at));
  }
  reportf(shm_at(id, (void*)(uintptr_t)0x80000000u, SHM_REMAP), "a fixed one");
  TRY(shm_dt((void*)(uintptr_t)0x80000000u));
  say("nattch %lu", nattch_of(id));
}

static void detach_quietly(void* address) { shm_dt(address); }

// At an address that the other kind of program chose.
static void at_the_same_place(int id) {
  char* const place = (char*)(uintptr_t)0x60000000u;
  say("before: nattch %lu", nattch_of(id));
  const long at = shm_at(id, place, 0);
  reportf(at, "the same place");
  say("%s", place);
  in_child(detach_quietly, place);
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(place + PAGE));
  TRY(shm_dt(place));
}

static void without_the_peer(void) {
  const int large = (int)shm_get(0x64, 3 * PAGE, IPC_CREAT | 0600);
  char* at = (char*)shm_at(large, (void*)(uintptr_t)0x60000000u, 0);
  struct exchange* exchange = (struct exchange*)attach(large);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    shm_dt(at);
    shm_dt(exchange);
    execute_peer("share", large);
  }
  take_turns(exchange, 0);
  int status = 0;
  waitpid(child, &status, 0);
  say_end("peer", status);
  say("sum %#llx", (unsigned long long)exchange->sum);
  say_segment(large);
  TRY(shm_dt(exchange));
  TRY(shm_dt(at));

  const int id = new_segment(2 * PAGE);
  at = (char*)shm_at(id, (void*)(uintptr_t)0x60000000u, 0);
  strcpy(at, "from another width");
  say_end("peer", run_peer("place", id));
  fflush(stdout);
  const pid_t executing = fork();
  if (executing == 0) {
    execute_peer("place", id);  // with its attach, which exec takes
  }
  waitpid(executing, &status, 0);
  say_end("peer", status);
  say_segment(id);
  TRY(shm_dt(at));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

#ifdef __x86_64__
static long call_as_i386(long number, long first, long second, long third, long fourth,
                         long fifth) {
  long result = 0;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(first), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
                   : "memory", "r8", "r9", "r10", "r11");
  if (result < 0 && result > -4096) {
    errno = (int)-result;
    return -1;
  }
  return result;
}

// A program of 64 bits that calls as one of 32 does.
static void by_the_other_entry(void) {
  enum { kShmget = 395, kShmctl = 396, kShmat = 397, kShmdt = 398, kIpc = 117 };
  const int id = new_segment(2 * PAGE);
  const long at = call_as_i386(kShmat, id, 0, 0, 0, 0);
  reportf(at, "shmat");
  say("below 4 GiB: %d, nattch %lu", (unsigned long)at < 1ul << 32, nattch_of(id));
  ((char*)at)[PAGE] = 'i';
  char* far = attach(id);
  say("%c, far away: %d", far[PAGE], (uintptr_t)far >= 1ul << 32);
  // The same number in its lower half: not the same attach.
  reportf(call_as_i386(kShmdt, (long)far, 0, 0, 0, 0), "shmdt cut off");
  say("nattch %lu", nattch_of(id));
  uint32_t* low =
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  reportf(call_as_i386(kIpc, 21, id, SHM_RDONLY, (long)low, 0), "ipc(SHMAT)");
  say("its address %d", *low != 0);
  reportf(call_as_i386(kIpc, 24, id, IPC_STAT, 0, (long)low), "ipc(SHMCTL)");
  say("old size %u", low[4]);
  reportf(call_as_i386(kShmctl, id, IPC_STAT, (long)low, 0, 0), "shmctl");
  say("size %u", low[9]);
  reportf(shm_dt((void*)at), "shmdt by this entry");
  say("nattch %lu", nattch_of(id));
  // The address that it names may be the last page that it can name.
  const unsigned long kLastPage = 0xfffff000;
  say("across 4 GiB %d", call_as_i386(kShmat, id, (long)kLastPage, 0, 0, 0) == (long)kLastPage);
  ((char*)(uintptr_t)kLastPage)[PAGE] = 'x';
  TRY(shm_dt((void*)(uintptr_t)kLastPage));
  reportf(call_as_i386(kShmget, 0x65, 100, IPC_CREAT | 0600, 0, 0), "shmget");
  TRY(shm_ctl((int)shm_get(0x65, 0, 0), IPC_RMID, NULL));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// No kernel in use has x32: nothing is done, and nothing of it passes.
static void x32(void) {
  enum { kX32 = 0x40000000 };
  const int id = new_segment(PAGE);
  TRY(syscall(kX32 | SYS_shmget, IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
  TRY(syscall(kX32 | SYS_shmat, id, NULL, 0));
  TRY(syscall(kX32 | SYS_shmctl, id, IPC_RMID, NULL));
  TRY(syscall(kX32 | SYS_shmdt, NULL));
  say("used_ids %d", info_now().used_ids);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}
#endif

int main(int argc, char** argv) {
  if (argc < 2) {
    die("no peer is named");
  }
  peer_program = argv[1];
  if (argc == 4) {
    const int id = atoi(argv[3]);
    if (!strcmp(argv[2], "share")) {
      share(id);
    } else if (!strcmp(argv[2], "place")) {
      at_the_same_place(id);
    } else {
      too_large(id);
    }
    return 0;
  }
  without_the_peer();
#ifdef __x86_64__
  const long large = shm_get(0x66, 5ul << 30, IPC_CREAT | SHM_NORESERVE | 0600);
  reportf(large, "5 GiB");
  too_large((int)large);
  say_end("peer", run_peer("large", (int)large));
  TRY(shm_ctl((int)large, IPC_RMID, NULL));
  by_the_other_entry();
  x32();
#endif
  say("end");
  return 0;
}
