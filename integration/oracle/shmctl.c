// shmctl(2): each command, unknown commands, bad buffers, what IPC_SET changes and refuses.
#include <limits.h>
#include <linux/capability.h>

#include "transcript.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

static void say_segment(const char* label, const struct shmid_ds* segment) {
  say("%s: key %#x uid %u gid %u cuid %u cgid %u mode %o segsz %zu nattch %lu", label,
      (unsigned)segment->shm_perm.__key, segment->shm_perm.uid, segment->shm_perm.gid,
      segment->shm_perm.cuid, segment->shm_perm.cgid, segment->shm_perm.mode, segment->shm_segsz,
      (unsigned long)segment->shm_nattch);
}

static void stat_fields(void) {
  const int id = (int)shm_get(0x1234, 10000, IPC_CREAT | 0654);
  struct shmid_ds segment;
  memset(&segment, 0xff, sizeof segment);
  TRY_VALUE(shm_ctl(id, IPC_STAT, &segment));
  say_segment("IPC_STAT", &segment);
  say("cpid mine %d, lpid %d, atime %ld, dtime %ld", segment.shm_cpid == getpid(), segment.shm_lpid,
      (long)segment.shm_atime, (long)segment.shm_dtime);
  // Padding and unused words come as zero, the sequence number is part of the structure.
  unsigned char bytes[sizeof segment];
  memcpy(bytes, &segment, sizeof segment);
  const size_t known[][2] = {
      {offsetof(struct shmid_ds, shm_perm.__key), offsetof(struct shmid_ds, shm_perm.mode) + 4},
      {offsetof(struct shmid_ds, shm_segsz), offsetof(struct shmid_ds, shm_nattch) + 8}};
  int nonzero = 0;
  for (size_t i = 0; i < sizeof bytes; ++i) {
    const bool is_known =
        (i >= known[0][0] && i < known[0][1]) || (i >= known[1][0] && i < known[1][1]);
    nonzero += !is_known && bytes[i] != 0;
  }
  say("seq %u, other bytes that are not zero: %d", segment.shm_perm.__seq, nonzero);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void set_fields(void) {
  const int id = new_segment(PAGE);
  struct shmid_ds segment = stat_of(id);
  const struct shmid_ds before = segment;
  segment.shm_perm.uid = 11;
  segment.shm_perm.gid = 22;
  segment.shm_perm.mode = 0xffff;
  segment.shm_perm.cuid = 33;
  segment.shm_perm.cgid = 44;
  segment.shm_perm.__key = 55;
  segment.shm_segsz = 66;
  segment.shm_cpid = 77;
  segment.shm_atime = 88;
  segment.shm_ctime = 99;
  TRY_VALUE(shm_ctl(id, IPC_SET, &segment));
  struct shmid_ds after = stat_of(id);
  say_segment("after IPC_SET", &after);
  say("cpid, atime kept: %d, ctime sane: %d",
      after.shm_cpid == before.shm_cpid && after.shm_atime == before.shm_atime,
      after.shm_ctime >= before.shm_ctime);

  static const unsigned kModes[] = {0, 07, 0777, 01000, 01777, 02000, 04444, 0100600, 0xfe00};
  for (size_t i = 0; i < sizeof kModes / sizeof *kModes; ++i) {
    segment = stat_of(id);
    segment.shm_perm.mode = (unsigned short)kModes[i];
    reportf(shm_ctl(id, IPC_SET, &segment), "IPC_SET mode %o", kModes[i]);
    say("  mode %o", stat_of(id).shm_perm.mode);
  }

  static const uid_t kIds[] = {0,       65534,       65535,       65536,
                               INT_MAX, 0x80000000u, 0xfffffffeu, 0xffffffffu};
  for (size_t i = 0; i < sizeof kIds / sizeof *kIds; ++i) {
    segment = stat_of(id);
    segment.shm_perm.uid = kIds[i];
    reportf(shm_ctl(id, IPC_SET, &segment), "IPC_SET uid %u", kIds[i]);
    say("  uid %u gid %u", stat_of(id).shm_perm.uid, stat_of(id).shm_perm.gid);
    segment = stat_of(id);
    segment.shm_perm.gid = kIds[i];
    reportf(shm_ctl(id, IPC_SET, &segment), "IPC_SET gid %u", kIds[i]);
    say("  uid %u gid %u", stat_of(id).shm_perm.uid, stat_of(id).shm_perm.gid);
  }
  segment = stat_of(id);
  segment.shm_perm.mode = 0123;
  segment.shm_perm.uid = (uid_t)-1;
  TRY(shm_ctl(id, IPC_SET, &segment));
  say("a refused IPC_SET changes nothing: mode %o", stat_of(id).shm_perm.mode);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void information(void) {
  struct shminfo limits;
  memset(&limits, 0x5a, sizeof limits);
  TRY_VALUE(shm_ctl(0, IPC_INFO, (void*)&limits));
  say("shmmax %lu shmmin %lu shmmni %lu shmseg %lu shmall %lu", limits.shmmax, limits.shmmin,
      limits.shmmni, limits.shmseg, limits.shmall);
  struct shm_info info;
  memset(&info, 0x5a, sizeof info);
  TRY_VALUE(shm_ctl(0, SHM_INFO, (void*)&info));
  say("used_ids %d tot %lu rss %lu swp %lu attempts %lu successes %lu", info.used_ids, info.shm_tot,
      info.shm_rss, info.shm_swp, info.swap_attempts, info.swap_successes);
  TRY_VALUE(shm_ctl(-1, IPC_INFO, (void*)&limits));
  TRY_VALUE(shm_ctl(-1, SHM_INFO, (void*)&info));
  TRY_VALUE(shm_ctl(4711, IPC_INFO, (void*)&limits));
  TRY_VALUE(shm_ctl(4711, SHM_INFO, (void*)&info));

  int ids[4];
  for (int i = 0; i < 4; ++i) {
    ids[i] = new_segment((unsigned long)(i + 1) * PAGE);
  }
  char* at = attach(ids[3]);
  at[0] = 1;
  at[2 * PAGE] = 1;
  TRY_VALUE(shm_ctl(0, IPC_INFO, (void*)&limits));
  TRY_VALUE(shm_ctl(0, SHM_INFO, (void*)&info));
  say("used_ids %d tot %lu rss %lu swp %lu", info.used_ids, info.shm_tot, info.shm_rss,
      info.shm_swp);
  TRY(shm_dt(at));
  say("rss after the detach %lu", info_now().shm_rss);
  TRY(shm_ctl(ids[3], IPC_RMID, NULL));
  TRY(shm_ctl(ids[1], IPC_RMID, NULL));
  TRY_VALUE(shm_ctl(0, SHM_INFO, (void*)&info));
  say("used_ids %d tot %lu rss %lu", info.used_ids, info.shm_tot, info.shm_rss);

  for (int index = -2; index < 8; ++index) {
    struct shmid_ds segment;
    memset(&segment, 0, sizeof segment);
    const long id = shm_ctl(index, SHM_STAT, &segment);
    reportf(id, "SHM_STAT %d", index);
    const long any = shm_ctl(index, SHM_STAT_ANY, &segment);
    reportf(any, "SHM_STAT_ANY %d", index);
    if (id >= 0) {
      say("  the same: %d, first %d third %d, size %zu", id == any, id == ids[0], id == ids[2],
          segment.shm_segsz);
    }
  }
  TRY(shm_ctl(INT_MAX, SHM_STAT, (struct shmid_ds[1]){0}));
  TRY(shm_ctl(INT_MIN, SHM_STAT, (struct shmid_ds[1]){0}));
  TRY(shm_ctl(32768, SHM_STAT, (struct shmid_ds[1]){0}));
  TRY(shm_ctl(ids[0], IPC_RMID, NULL));
  TRY(shm_ctl(ids[2], IPC_RMID, NULL));
  TRY_VALUE(shm_ctl(0, SHM_INFO, (void*)&info));
}

static void commands(void) {
  const int id = new_segment(PAGE);
  struct shmid_ds segment = stat_of(id);
  static const int kCommands[] = {4,
                                  5,
                                  6,
                                  7,
                                  8,
                                  9,
                                  10,
                                  16,
                                  17,
                                  18,
                                  19,
                                  20,
                                  100,
                                  255,
                                  256 | IPC_STAT,
                                  256 | IPC_RMID,
                                  0x100 | IPC_INFO,
                                  0x1000,
                                  -1,
                                  -2,
                                  INT_MAX,
                                  INT_MIN};
  for (size_t i = 0; i < sizeof kCommands / sizeof *kCommands; ++i) {
    reportf(shm_ctl(id, kCommands[i], &segment), "command %d", kCommands[i]);
    reportf(shm_ctl(-1, kCommands[i], &segment), "command %d on -1", kCommands[i]);
    reportf(shm_ctl(id + 1, kCommands[i], NULL), "command %d on nothing", kCommands[i]);
  }
  TRY(shm_ctl(id, IPC_STAT, &segment));

  static const int kKnown[] = {IPC_RMID,     IPC_SET,  IPC_STAT,  SHM_STAT,
                               SHM_STAT_ANY, SHM_LOCK, SHM_UNLOCK};
  static const int kWrongIds[] = {-1, INT_MIN, INT_MAX, 32767, 1 << 15};
  for (size_t i = 0; i < sizeof kKnown / sizeof *kKnown; ++i) {
    for (size_t j = 0; j < sizeof kWrongIds / sizeof *kWrongIds; ++j) {
      reportf(shm_ctl(kWrongIds[j], kKnown[i], &segment), "command %d on %d", kKnown[i],
              kWrongIds[j]);
      reportf(shm_ctl(kWrongIds[j], kKnown[i], NULL), "command %d on %d, NULL", kKnown[i],
              kWrongIds[j]);
    }
  }
  TRY(shm_ctl(id, IPC_STAT, &segment));
  TRY(shm_ctl(id, IPC_RMID, (void*)1));
  for (size_t i = 0; i < sizeof kKnown / sizeof *kKnown; ++i) {
    reportf(shm_ctl(id, kKnown[i], &segment), "command %d on a removed id", kKnown[i]);
  }
}

static void bad_buffers(void) {
  const int id = new_segment(PAGE);
  char* pages = free_range(16 * PAGE) + 4 * PAGE;
  if (mmap(pages, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    die("mmap");
  }
  char* read_only = pages;
  char* last = pages + PAGE;
  if (mprotect(read_only, PAGE, PROT_READ) != 0) {
    die("mprotect");
  }
  struct {
    const char* name;
    void* address;
  } buffers[] = {{"NULL", NULL},
                 {"1", (void*)1},
                 {"unmapped", pages - PAGE},
                 {"read-only", read_only},
                 {"cut by the page's end", last + PAGE - 8},
                 {"all but one byte", last + PAGE - sizeof(struct shmid_ds) + 1},
                 {"up to the page's end", last + PAGE - sizeof(struct shmid_ds)},
                 {"unaligned", last + 1},
                 {"from a read-only page", last - 8},
                 {"end of user addresses", (void*)0x7ffffffff000},
                 {"not canonical", (void*)0x800000000000},
                 {"kernel", (void*)0xffff888000000000},
                 {"last page", (void*)0xfffffffffffff000},
                 {"wraps", (void*)0xfffffffffffffff8}};
  static const struct {
    const char* name;
    int command;
  } kCommands[] = {{"IPC_STAT", IPC_STAT}, {"IPC_SET", IPC_SET},
                   {"IPC_INFO", IPC_INFO}, {"SHM_INFO", SHM_INFO},
                   {"SHM_STAT", SHM_STAT}, {"SHM_STAT_ANY", SHM_STAT_ANY},
                   {"SHM_LOCK", SHM_LOCK}, {"SHM_UNLOCK", SHM_UNLOCK}};
  for (size_t i = 0; i < sizeof kCommands / sizeof *kCommands; ++i) {
    for (size_t j = 0; j < sizeof buffers / sizeof *buffers; ++j) {
      // SHM_STAT takes an index; the only segment of the namespace is found by looking for it.
      int subject = id;
      if (kCommands[i].command == SHM_STAT || kCommands[i].command == SHM_STAT_ANY) {
        subject = id & 0x7fff;
      }
      memset(last, 0, PAGE);
      reportf(shm_ctl(subject, kCommands[i].command, buffers[j].address), "%s, buffer %s",
              kCommands[i].name, buffers[j].name);
    }
  }
  // What is wrong first: the buffer or the identifier?
  TRY(shm_ctl(-1, IPC_STAT, NULL));
  TRY(shm_ctl(12345, IPC_STAT, NULL));
  TRY(shm_ctl(-1, IPC_SET, NULL));
  TRY(shm_ctl(12345, IPC_SET, NULL));
  TRY(shm_ctl(12345, IPC_SET, last));
  // A write that stops at a page's end.
  memset(last, 0x77, PAGE);
  TRY(shm_ctl(id, IPC_STAT, last + PAGE - 48));
  const struct shmid_ds now = stat_of(id);
  say_segment("kept", &now);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

static void locks(void) {
  const int id = new_segment(4 * PAGE);
  char* at = attach(id);
  at[0] = 'l';
  TRY_VALUE(shm_ctl(id, SHM_LOCK, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY_VALUE(shm_ctl(id, SHM_LOCK, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  struct shmid_ds segment = stat_of(id);
  segment.shm_perm.mode = 0640;
  TRY(shm_ctl(id, IPC_SET, &segment));
  say("mode after IPC_SET %o", stat_of(id).shm_perm.mode);
  TRY_VALUE(shm_ctl(id, SHM_UNLOCK, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY_VALUE(shm_ctl(id, SHM_UNLOCK, NULL));
  say("still there: %c", at[0]);
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY(shm_ctl(id, SHM_UNLOCK, NULL));
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY(shm_dt(at));
}

static void locks_as_user(void* argument) {
  const int foreign = *(int*)argument;
  // A user of its own: locked segments count for a user over the whole machine.
  become(&(struct identity){.uid = 54321, .gid = 1000});
  const int mine = new_segment(2 * PAGE);
  struct rlimit limit = {PAGE, 2 * PAGE};
  TRY(setrlimit(RLIMIT_MEMLOCK, &limit));
  TRY(shm_ctl(foreign, SHM_LOCK, NULL));
  TRY(shm_ctl(foreign, SHM_UNLOCK, NULL));
  TRY(shm_ctl(mine, SHM_LOCK, NULL));
  limit.rlim_cur = 2 * PAGE;
  TRY(setrlimit(RLIMIT_MEMLOCK, &limit));
  TRY(shm_ctl(mine, SHM_LOCK, NULL));
  say("mode %o", stat_of(mine).shm_perm.mode);
  // The limit is the user's, over all of its segments.
  const int another = new_segment(PAGE);
  TRY(shm_ctl(another, SHM_LOCK, NULL));
  TRY(shm_ctl(mine, SHM_UNLOCK, NULL));
  TRY(shm_ctl(another, SHM_LOCK, NULL));
  TRY(shm_ctl(another, IPC_RMID, NULL));
  TRY(shm_ctl(mine, SHM_LOCK, NULL));
  TRY(shm_ctl(mine, SHM_UNLOCK, NULL));
  limit.rlim_cur = limit.rlim_max = 0;
  TRY(setrlimit(RLIMIT_MEMLOCK, &limit));
  TRY(shm_ctl(mine, SHM_LOCK, NULL));
  TRY(shm_ctl(mine, SHM_UNLOCK, NULL));
  TRY(shm_ctl(mine, IPC_RMID, NULL));
}

// The first touch of these pages is the kernel's: a stack grows by it.
static void below_the_stack(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  char here;
  char* top = &here - ((uintptr_t)&here & (PAGE - 1));
  struct shmid_ds* buffer = (struct shmid_ds*)(top - 512 * 1024);
  TRY(shm_ctl(id, IPC_STAT, buffer));
  TRY(shm_ctl(id, IPC_SET, buffer));
  TRY(shm_ctl(id, IPC_SET, (char*)buffer - 4 * PAGE));
  TRY(shm_ctl(id, IPC_STAT, (char*)buffer - 8 * PAGE - 50));
  const struct rlimit little = {1024 * 1024, RLIM_INFINITY};
  if (setrlimit(RLIMIT_STACK, &little) != 0) {
    die("setrlimit");
  }
  TRY(shm_ctl(id, IPC_STAT, top - 2048 * 1024));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

int main(void) {
  stat_fields();
  set_fields();
  information();
  commands();
  bad_buffers();
  locks();
  int foreign = new_segment(PAGE);
  in_child(locks_as_user, &foreign);
  TRY(shm_ctl(foreign, IPC_RMID, NULL));
  say("segments left: %d", info_now().used_ids);
  in_child(below_the_stack, NULL);
  say("end");
  return 0;
}
