// Structs of 64-bit programs as their memory holds them, field by field as in the kernel's headers
// (asm-generic/shmbuf.h, ipcbuf.h). x86-64 and aarch64 have the same.
#pragma once

#include <cstdint>

namespace shmvisor::layouts_64 {

struct ipc64_perm {
  std::int32_t key;
  std::uint32_t uid, gid, cuid, cgid;
  std::uint32_t mode;
  std::uint16_t seq, pad2;
  std::uint64_t unused1, unused2;
};

struct shmid64_ds {
  ipc64_perm shm_perm;
  std::uint64_t shm_segsz;
  std::int64_t shm_atime, shm_dtime, shm_ctime;
  std::int32_t shm_cpid, shm_lpid;
  std::uint64_t shm_nattch;
  std::uint64_t unused4, unused5;
};
static_assert(sizeof(shmid64_ds) == 112);

struct shminfo64 {
  std::uint64_t shmmax, shmmin, shmmni, shmseg, shmall;
  std::uint64_t unused[4];
};
static_assert(sizeof(shminfo64) == 72);

struct shm_info {
  std::int32_t used_ids;
  std::uint64_t shm_tot, shm_rss, shm_swp;
  std::uint64_t swap_attempts, swap_successes;
};
static_assert(sizeof(shm_info) == 48);

}  // namespace shmvisor::layouts_64
