// shmget(2): sizes, keys, flags, mode bits, limits.
#include <linux/capability.h>

#include "transcript.h"

#define KEY 0x51e3
#define HUGE_SIZE_FLAG(log2_bytes) ((int)((unsigned)(log2_bytes) << MAP_HUGE_SHIFT))

static void remove_segment(long id) {
  if (id >= 0 && shm_ctl((int)id, IPC_RMID, NULL) != 0) {
    die("IPC_RMID");
  }
}

static void sizes(void) {
  static const uint64_t kSizes[] = {0,
                                    1,
                                    2,
                                    4095,
                                    4096,
                                    4097,
                                    8191,
                                    65536,
                                    1ull << 20,
                                    (1ull << 20) + 1,
                                    1ull << 46,
                                    1ull << 52,
                                    1ull << 62,
                                    (1ull << 63) - 1,
                                    1ull << 63,
                                    (1ull << 63) + 4096,
                                    ~0ull - (1ull << 24) - 1,
                                    ~0ull - (1ull << 24),
                                    ~0ull - (1ull << 24) + 1,
                                    ~0ull - 4096,
                                    ~0ull - 1,
                                    ~0ull};
  for (size_t i = 0; i < sizeof kSizes / sizeof *kSizes; ++i) {
    const long id = shm_get(IPC_PRIVATE, kSizes[i], IPC_CREAT | 0600);
    reportf(id, "create size %#lx", (unsigned long)kSizes[i]);
    if (id >= 0) {
      const struct shmid_ds segment = stat_of((int)id);
      say("  shm_segsz %zu nattch %lu, shm_tot %lu pages", segment.shm_segsz,
          (unsigned long)segment.shm_nattch, info_now().shm_tot);
      remove_segment(id);
    }
  }
  const long id =
      shm_get(IPC_PRIVATE, (unsigned long)(1ull << 40), IPC_CREAT | SHM_NORESERVE | 0600);
  reportf(id, "create 1 TiB with SHM_NORESERVE");
  remove_segment(id);
}

static void keys(void) {
  const long first = TRY(shm_get(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640));
  say("same id without flags: %d", shm_get(KEY, 5000, 0) == first);
  say("same id with IPC_CREAT: %d", shm_get(KEY, 5000, IPC_CREAT) == first);
  say("same id with IPC_EXCL alone: %d", shm_get(KEY, 5000, IPC_EXCL) == first);
  say("same id with size 0: %d", shm_get(KEY, 0, 0) == first);
  say("same id with size 1: %d", shm_get(KEY, 1, IPC_CREAT) == first);
  TRY(shm_get(KEY, 5000, IPC_CREAT | IPC_EXCL));
  TRY(shm_get(KEY, 0, IPC_CREAT | IPC_EXCL | 0600));
  TRY(shm_get(KEY, ~0ul, IPC_CREAT | IPC_EXCL | 0600));
  TRY(shm_get(KEY, 5001, 0));
  TRY(shm_get(KEY, 8192, 0));
  TRY(shm_get(KEY, 5001, IPC_CREAT));
  TRY(shm_get(KEY, ~0ul, 0));
  TRY(shm_get(KEY + 1, 4096, 0));
  TRY(shm_get(KEY + 1, 0, 0));
  TRY(shm_get(KEY + 1, ~0ul, 0));
  TRY(shm_get(KEY + 1, 4096, IPC_EXCL));
  TRY(shm_get(KEY + 1, 0, IPC_CREAT | 0600));
  TRY(shm_get(KEY + 1, ~0ul, IPC_CREAT | 0600));
  say("nothing made by what failed: %d segments", info_now().used_ids);
  const struct shmid_ds segment = stat_of((int)first);
  say("key %#x mode %o segsz %zu", (unsigned)segment.shm_perm.__key, segment.shm_perm.mode,
      segment.shm_segsz);
  remove_segment(first);
  TRY(shm_get(KEY, 0, 0));

  const long negative = TRY(shm_get((key_t)0x80000001, 1, IPC_CREAT | 0600));
  say("key %#x", (unsigned)stat_of((int)negative).shm_perm.__key);
  remove_segment(negative);
  const long minus_one = TRY(shm_get((key_t)-1, 1, IPC_CREAT | 0600));
  say("key %#x", (unsigned)stat_of((int)minus_one).shm_perm.__key);
  remove_segment(minus_one);
}

static void private_keys(void) {
  const long without = TRY(shm_get(IPC_PRIVATE, 4096, 0600));
  const long with = TRY(shm_get(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
  const long exclusive = TRY(shm_get(IPC_PRIVATE, 4096, IPC_CREAT | IPC_EXCL | 0600));
  const long only_exclusive = TRY(shm_get(IPC_PRIVATE, 4096, IPC_EXCL | 0600));
  say("all different: %d", without != with && with != exclusive && exclusive != only_exclusive &&
                               without != exclusive && without != only_exclusive &&
                               with != only_exclusive);
  say("key %d", stat_of((int)with).shm_perm.__key);
  remove_segment(without);
  remove_segment(with);
  remove_segment(exclusive);
  remove_segment(only_exclusive);
}

static void modes(void) {
  for (int mode = 0; mode <= 0777; mode += 0111) {
    const long id = shm_get(IPC_PRIVATE, 1, IPC_CREAT | mode);
    reportf(id, "mode %o", mode);
    say("  mode %o", stat_of((int)id).shm_perm.mode);
    remove_segment(id);
  }
  umask(077);
  const long id = shm_get(IPC_PRIVATE, 1, IPC_CREAT | 0666);
  say("umask plays no part: mode %o", stat_of((int)id).shm_perm.mode);
  remove_segment(id);
  umask(022);
}

// Every single bit of the flags, known or not.
static void flag_bits(void) {
  for (int bit = 0; bit < 32; ++bit) {
    const int flag = (int)(1u << bit);
    const long id = shm_get(IPC_PRIVATE, 4096, flag | 0600);
    reportf(id, "private, flag %#x", (unsigned)flag);
    if (id >= 0) {
      say("  mode %o", stat_of((int)id).shm_perm.mode);
      remove_segment(id);
    }
  }
  const long id = TRY(shm_get(IPC_PRIVATE, 4096, ~(SHM_HUGETLB)));
  if (id >= 0) {
    say("  mode %o", stat_of((int)id).shm_perm.mode);
    remove_segment(id);
  }
}

static void huge_pages(void) {
  static const int kLog2Bytes[] = {0, 1, 12, 13, 16, 20, 21, 22, 29, 30, 31, 34, 40, 63};
  static const unsigned long kSizes[] = {1, 4096, 2ul << 20, ~0ul - (1ul << 30)};
  for (size_t i = 0; i < sizeof kLog2Bytes / sizeof *kLog2Bytes; ++i) {
    for (size_t j = 0; j < sizeof kSizes / sizeof *kSizes; ++j) {
      const long id = shm_get(IPC_PRIVATE, kSizes[j],
                              IPC_CREAT | SHM_HUGETLB | HUGE_SIZE_FLAG(kLog2Bytes[i]) | 0600);
      reportf(id, "huge pages of 2^%d, size %#lx", kLog2Bytes[i], kSizes[j]);
      remove_segment(id);
    }
  }
  const long id = TRY(shm_get(IPC_PRIVATE, 4096, IPC_CREAT | HUGE_SIZE_FLAG(21) | 0600));
  remove_segment(id);
}

static void huge_pages_as_user(void* unused) {
  (void)unused;
  become(&(struct identity){.uid = 1000, .gid = 1000});
  TRY(shm_get(IPC_PRIVATE, 2 << 20, IPC_CREAT | SHM_HUGETLB | 0600));
  TRY(shm_get(IPC_PRIVATE, 2 << 20, IPC_CREAT | SHM_HUGETLB | HUGE_SIZE_FLAG(13) | 0600));
}

static void new_segment_fields(void* unused) {
  (void)unused;
  become(&(struct identity){.uid = 1234, .gid = 2345, .group_count = 1, .groups = {77}});
  const long id = TRY(shm_get(KEY, 123, IPC_CREAT | 0741));
  const struct shmid_ds segment = stat_of((int)id);
  say("uid %u gid %u cuid %u cgid %u mode %o", segment.shm_perm.uid, segment.shm_perm.gid,
      segment.shm_perm.cuid, segment.shm_perm.cgid, segment.shm_perm.mode);
  say("cpid is mine: %d, lpid %d", segment.shm_cpid == getpid(), segment.shm_lpid);
  say("atime %ld dtime %ld ctime set: %d", (long)segment.shm_atime, (long)segment.shm_dtime,
      segment.shm_ctime != 0);
  remove_segment(id);
}

// The file-system ids are not those that count for a segment's owner.
static void effective_ids(void* unused) {
  (void)unused;
  if (setresgid(10, 20, 30) != 0 || setresuid(11, 21, 0) != 0) {
    die("setresuid");
  }
  const long id = TRY(shm_get(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  const struct shmid_ds segment = stat_of((int)id);
  say("uid %u gid %u cuid %u cgid %u", segment.shm_perm.uid, segment.shm_perm.gid,
      segment.shm_perm.cuid, segment.shm_perm.cgid);
  remove_segment(id);
}

static void too_many(void) {
  enum { kDefaultShmmni = 4096 };
  long made = 0;
  while (made <= kDefaultShmmni && shm_get((key_t)(KEY + made), 1, IPC_CREAT | 0600) >= 0) {
    ++made;
  }
  say("segments made before the limit: %ld", made);
  TRY(shm_get(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  TRY(shm_get(KEY, 0, 0));
  TRY(shm_get(KEY, 1, IPC_CREAT | IPC_EXCL | 0600));
  TRY(shm_get(IPC_PRIVATE, 0, IPC_CREAT | 0600));
  const struct shm_info info = info_now();
  say("used_ids %d shm_tot %lu shm_rss %lu", info.used_ids, info.shm_tot, info.shm_rss);
  for (long i = 0; i < made; ++i) {
    remove_segment(shm_get((key_t)(KEY + i), 0, 0));
  }
  say("used_ids %d shm_tot %lu", info_now().used_ids, info_now().shm_tot);
}

int main(void) {
  sizes();
  keys();
  private_keys();
  modes();
  flag_bits();
  huge_pages();
  in_child(huge_pages_as_user, NULL);
  in_child(new_segment_fields, NULL);
  in_child(effective_ids, NULL);
  too_many();
  say("end");
  return 0;
}
