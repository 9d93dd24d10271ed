// bystander SECONDS [full]: a process that uses shared memory as it should, and measures how long
// each call takes and whether its results are right, while somebody else misbehaves.
//
// Prints one line for each kind of call: "KIND calls COUNT worst MICROSECONDS p99 MICROSECONDS",
// and a line "WRONG ..." for each result that is not what the kernel would give. Status 1 where
// there is one. With `full` no new segment may be to be had, because the attacker has them all,
// which the kernel does not prevent either. It makes a segment of the key 0x62797374, which nobody
// else uses, and leaves nothing.
#include <stdarg.h>
#include <time.h>

#include "integration/oracle/transcript.h"

enum { kKey = 0x62797374, kSize = 3 * 4096 + 17, kMostSamples = 1 << 20, kMostWrong = 8 };

enum kind { kGet, kStat, kAttach, kDetach, kCreate, kRemove, kTable, kWake, kKinds };
static const char* const kNames[kKinds] = {"shmget",   "IPC_STAT", "shmat", "shmdt",
                                           "creation", "removal",  "table", "wake-up"};

static struct {
  unsigned* microseconds;
  unsigned long count;
} samples[kKinds];
static int wrong;
static double attacked_until;
static bool may_be_full;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static struct {
  char text[120];
  unsigned long times;
} complaints[kMostWrong];

__attribute__((format(printf, 1, 2))) static void complain(const char* format, ...) {
  char text[sizeof complaints[0].text];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  int place = 0;
  while (place < wrong && strcmp(complaints[place].text, text) != 0) ++place;
  if (place == kMostWrong) return;
  if (place == wrong) strcpy(complaints[wrong++].text, text);
  ++complaints[place].times;
}

static void took(enum kind kind, double begin) {
  const double microseconds = 1e6 * (now() - begin);
  if (samples[kind].count == kMostSamples) return;
  samples[kind].microseconds[samples[kind].count++] = (unsigned)microseconds;
}

/// A call that has to succeed; its result.
static long succeeds(const char* what, long result) {
  if (result == -1) complain("%s: %s", what, strerrorname_np(errno));
  return result;
}

static void fails(const char* what, long result, int error) {
  if (result != -1) {
    complain("%s succeeds", what);
  } else if (errno != error) {
    complain("%s: %s, not %s", what, strerrorname_np(errno), strerrorname_np(error));
  }
}

static void look(int id, unsigned long attaches) {
  struct shmid_ds ds;
  memset(&ds, 0xff, sizeof ds);
  const double begin = now();
  const long result = shm_ctl(id, IPC_STAT, &ds);
  took(kStat, begin);
  if (succeeds("IPC_STAT", result) == -1) return;
  if (ds.shm_nattch != attaches) {
    complain("nattch is %lu, not %lu", (unsigned long)ds.shm_nattch, attaches);
  }
  if (ds.shm_segsz != kSize || ds.shm_perm.uid != getuid() || (ds.shm_perm.mode & 0777) != 0600 ||
      ds.shm_cpid != getpid()) {
    complain("IPC_STAT: size %zu, uid %u, mode %o, cpid %d", (size_t)ds.shm_segsz, ds.shm_perm.uid,
             ds.shm_perm.mode, (int)ds.shm_cpid);
  }
}

/// Its own row of /proc/sysvipc/shm, where that is served; any row of the key.
static void read_table(void) {
  const double begin = now();
  FILE* table = fopen("/proc/sysvipc/shm", "r");
  if (table == NULL) return;
  char line[512];
  int rows = 0;
  int found = 0;
  while (fgets(line, sizeof line, table) != NULL) {
    ++rows;
    if (atoi(line) == kKey) ++found;
  }
  fclose(table);
  took(kTable, begin);
  // Without a table of its own the command sees the kernel's, which is empty.
  if (rows > 1 && found != 1) complain("%d rows of its own in %d of the table", found, rows - 1);
}

/// It is no attack itself. How late a sleeper comes to a CPU is what the attack does to everybody,
/// whoever serves calls.
static void rest(void) {
  enum { kMicroseconds = 500 };
  const double due = now() + 1e-6 * kMicroseconds;
  nanosleep(&(struct timespec){.tv_nsec = 1000 * kMicroseconds}, NULL);
  took(kWake, due);
}

static void use_once(int id, volatile char* kept, unsigned round) {
  double begin = now();
  const long same = shm_get(kKey, 0, 0600);
  took(kGet, begin);
  if (succeeds("shmget", same) != -1 && same != id) complain("shmget: another identifier");
  fails("shmget, exclusively", shm_get(kKey, kSize, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
  fails("shmget of too much", shm_get(kKey, kSize + 4096, 0600), EINVAL);
  look(id, 1);

  kept[round % kSize] = (char)round;
  begin = now();
  const long attached = shm_at(id, NULL, 0);
  took(kAttach, begin);
  if (succeeds("shmat", attached) != -1) {
    volatile char* const at = (volatile char*)attached;
    if (at[round % kSize] != (char)round) complain("another segment is attached");
    at[(round + 1) % kSize] = (char)~round;
    if (kept[(round + 1) % kSize] != (char)~round) complain("another segment was written to");
    look(id, 2);
    begin = now();
    const long detached = shm_dt((void*)attached);
    took(kDetach, begin);
    succeeds("shmdt", detached);
    fails("shmdt of nothing", shm_dt((void*)attached), EINVAL);
  }

  begin = now();
  const long fresh = shm_get(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
  took(kCreate, begin);
  const bool none_left = may_be_full && fresh == -1 && errno == ENOSPC;
  if (!none_left && succeeds("shmget of a new segment", fresh) != -1) {
    begin = now();
    const long removed = shm_ctl((int)fresh, IPC_RMID, NULL);
    took(kRemove, begin);
    succeeds("IPC_RMID", removed);
    struct shmid_ds ds;
    const long gone = shm_ctl((int)fresh, IPC_STAT, &ds);
    if (gone != -1 || (errno != EINVAL && errno != EIDRM)) complain("it is still there");
  }
  if (round % 16 == 0) read_table();
}

static int ascending(const void* left, const void* right) {
  const unsigned a = *(const unsigned*)left;
  const unsigned b = *(const unsigned*)right;
  return a < b ? -1 : a > b;
}

static void print_kind(enum kind kind) {
  const unsigned long count = samples[kind].count;
  if (count == 0) return;
  qsort(samples[kind].microseconds, count, sizeof *samples[kind].microseconds, ascending);
  printf("%s calls %lu worst %u p99 %u\n", kNames[kind], count,
         samples[kind].microseconds[count - 1], samples[kind].microseconds[count * 99 / 100]);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  may_be_full = argc > 2 && strcmp(argv[2], "full") == 0;
  for (int kind = 0; kind < kKinds; ++kind) {
    samples[kind].microseconds = calloc(kMostSamples, sizeof *samples[kind].microseconds);
    if (samples[kind].microseconds == NULL) return 2;
  }
  const int id = (int)shm_get(kKey, kSize, IPC_CREAT | IPC_EXCL | 0600);
  if (id == -1) die("shmget of the segment");
  char* const kept = (char*)shm_at(id, NULL, 0);
  if (kept == (char*)-1) die("shmat, the first");
  attacked_until = now() + strtod(argv[1], NULL);
  for (unsigned round = 0; now() < attacked_until; ++round) {
    use_once(id, kept, round);
    rest();
  }
  succeeds("IPC_RMID, the last", shm_ctl(id, IPC_RMID, NULL));
  succeeds("shmdt, the last", shm_dt(kept));
  for (int i = 0; i < wrong; ++i)
    printf("WRONG %s, %lu times\n", complaints[i].text, complaints[i].times);
  for (int kind = 0; kind < kKinds; ++kind) print_kind((enum kind)kind);
  return wrong != 0;
}
