// Structs of 32-bit programs as their memory holds them, field by field as in the kernel's headers
// (struct compat_* of ipc/shm.c and of asm/compat.h, and linux/shm.h for the old ones). i386 and
// arm have the same.
#pragma once

#include <cstdint>

namespace shmvisor::layouts_32 {

struct ipc64_perm {
  std::int32_t key;
  std::uint32_t uid, gid, cuid, cgid;
  std::uint16_t mode, pad1, seq, pad2;
  std::uint32_t unused1, unused2;
};

struct shmid64_ds {
  ipc64_perm shm_perm;
  std::uint32_t shm_segsz;
  std::uint32_t shm_atime, shm_atime_high, shm_dtime, shm_dtime_high, shm_ctime, shm_ctime_high;
  std::int32_t shm_cpid, shm_lpid;
  std::uint32_t shm_nattch;
  std::uint32_t unused4, unused5;
};
static_assert(sizeof(shmid64_ds) == 84);

struct ipc_perm {
  std::int32_t key;
  std::uint16_t uid, gid, cuid, cgid;
  std::uint16_t mode, seq;
};

struct shmid_ds {
  ipc_perm shm_perm;
  std::int32_t shm_segsz;
  std::int32_t shm_atime, shm_dtime, shm_ctime;
  std::uint16_t shm_cpid, shm_lpid;
  std::uint16_t shm_nattch, shm_unused;
  std::uint32_t shm_unused2, shm_unused3;
};
static_assert(sizeof(shmid_ds) == 48);

struct shminfo64 {
  std::uint32_t shmmax, shmmin, shmmni, shmseg, shmall;
  std::uint32_t unused[4];
};
static_assert(sizeof(shminfo64) == 36);

struct shminfo {
  std::int32_t shmmax, shmmin, shmmni, shmseg, shmall;
};
static_assert(sizeof(shminfo) == 20);

struct shm_info {
  std::int32_t used_ids;
  std::uint32_t shm_tot, shm_rss, shm_swp;
  std::uint32_t swap_attempts, swap_successes;
};
static_assert(sizeof(shm_info) == 24);

}  // namespace shmvisor::layouts_32
