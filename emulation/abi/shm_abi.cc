#include "emulation/abi/shm_abi.h"

#include <algorithm>
#include <cassert>
#include <climits>
#include <cstring>

namespace shmvisor {
namespace {

// The layouts, field by field as in the kernel's headers named in shm_abi.h.
namespace x86_64 {

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

}  // namespace x86_64

namespace i386 {

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

}  // namespace i386

std::uint32_t low(std::int64_t value) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(value));
}
std::uint32_t high(std::int64_t value) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(value) >> 32);
}

/// high2lowuid(): ids that do not fit 16 bits show as the overflow id, 65534.
std::uint16_t short_id(std::uint32_t id) {
  return id > 0xffff ? std::uint16_t{65534} : static_cast<std::uint16_t>(id);
}

template <typename Layout>
Layout load(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(Layout));
  Layout layout;
  std::memcpy(&layout, bytes.data(), sizeof(Layout));
  return layout;
}

template <typename Perm>
void fill_perm(Perm& perm, const ShmidDs& ds) {
  perm.key = ds.key;
  perm.uid = ds.uid;
  perm.gid = ds.gid;
  perm.cuid = ds.cuid;
  perm.cgid = ds.cgid;
  perm.mode = static_cast<decltype(perm.mode)>(ds.mode);
  perm.seq = ds.seq;
}

AbiBytes encode_i386_old(const ShmidDs& ds) {
  i386::shmid_ds out{};
  out.shm_perm.key = ds.key;
  out.shm_perm.uid = short_id(ds.uid);
  out.shm_perm.gid = short_id(ds.gid);
  out.shm_perm.cuid = short_id(ds.cuid);
  out.shm_perm.cgid = short_id(ds.cgid);
  out.shm_perm.mode = static_cast<std::uint16_t>(ds.mode);
  out.shm_perm.seq = ds.seq;
  out.shm_segsz = static_cast<std::int32_t>(ds.segsz_bytes);
  out.shm_atime = static_cast<std::int32_t>(ds.atime);
  out.shm_dtime = static_cast<std::int32_t>(ds.dtime);
  out.shm_ctime = static_cast<std::int32_t>(ds.ctime);
  out.shm_cpid = static_cast<std::uint16_t>(ds.cpid);
  out.shm_lpid = static_cast<std::uint16_t>(ds.lpid);
  out.shm_nattch = static_cast<std::uint16_t>(ds.nattch);
  return AbiBytes::of(out);
}

AbiBytes encode_i386_64(const ShmidDs& ds) {
  i386::shmid64_ds out{};
  fill_perm(out.shm_perm, ds);
  out.shm_segsz = static_cast<std::uint32_t>(ds.segsz_bytes);
  out.shm_atime = low(ds.atime);
  out.shm_atime_high = high(ds.atime);
  out.shm_dtime = low(ds.dtime);
  out.shm_dtime_high = high(ds.dtime);
  out.shm_ctime = low(ds.ctime);
  out.shm_ctime_high = high(ds.ctime);
  out.shm_cpid = ds.cpid;
  out.shm_lpid = ds.lpid;
  out.shm_nattch = static_cast<std::uint32_t>(ds.nattch);
  return AbiBytes::of(out);
}

}  // namespace

AbiBytes encode_shmid_ds(Abi abi, IpcVersion version, const ShmidDs& ds) {
  if (abi == Abi::kI386) {
    return version == IpcVersion::kOld ? encode_i386_old(ds) : encode_i386_64(ds);
  }
  x86_64::shmid64_ds out{};
  fill_perm(out.shm_perm, ds);
  out.shm_segsz = ds.segsz_bytes;
  out.shm_atime = ds.atime;
  out.shm_dtime = ds.dtime;
  out.shm_ctime = ds.ctime;
  out.shm_cpid = ds.cpid;
  out.shm_lpid = ds.lpid;
  out.shm_nattch = ds.nattch;
  return AbiBytes::of(out);
}

AbiBytes encode_shminfo(Abi abi, IpcVersion version, const ShmInfoLimits& limits) {
  if (abi == Abi::kX86_64) {
    x86_64::shminfo64 out{};
    out.shmmax = limits.shmmax;
    out.shmmin = limits.shmmin;
    out.shmmni = limits.shmmni;
    out.shmseg = limits.shmseg;
    out.shmall = limits.shmall;
    return AbiBytes::of(out);
  }
  // copy_compat_shminfo_to_user() caps shmmax alone; the others lose their upper half.
  const auto shmmax = std::min<std::uint64_t>(limits.shmmax, INT_MAX);
  const auto fill = [&](auto& out) {
    using Field = decltype(out.shmmax);
    out.shmmax = static_cast<Field>(shmmax);
    out.shmmin = static_cast<Field>(limits.shmmin);
    out.shmmni = static_cast<Field>(limits.shmmni);
    out.shmseg = static_cast<Field>(limits.shmseg);
    out.shmall = static_cast<Field>(limits.shmall);
    return AbiBytes::of(out);
  };
  if (version == IpcVersion::kOld) {
    i386::shminfo out{};
    return fill(out);
  }
  i386::shminfo64 out{};
  return fill(out);
}

AbiBytes encode_shm_info(Abi abi, const ShmInfoUsage& usage) {
  const auto fill = [&](auto& out) {
    using Field = decltype(out.shm_tot);
    out.used_ids = usage.used_ids;
    out.shm_tot = static_cast<Field>(usage.tot_pages);
    out.shm_rss = static_cast<Field>(usage.rss_pages);
    out.shm_swp = static_cast<Field>(usage.swp_pages);
    return AbiBytes::of(out);
  };
  if (abi == Abi::kI386) {
    i386::shm_info out{};
    return fill(out);
  }
  x86_64::shm_info out{};
  return fill(out);
}

std::size_t shmid_ds_size(Abi abi, IpcVersion version) {
  if (abi == Abi::kX86_64) return sizeof(x86_64::shmid64_ds);
  // get_compat_ipc_perm() and get_compat_ipc64_perm() read the permissions and nothing else.
  return version == IpcVersion::kOld ? sizeof(i386::ipc_perm) : sizeof(i386::ipc64_perm);
}

IpcSetRequest decode_ipc_set(Abi abi, IpcVersion version, std::span<const std::byte> bytes) {
  if (abi == Abi::kX86_64) {
    const auto in = load<x86_64::shmid64_ds>(bytes);
    return {in.shm_perm.uid, in.shm_perm.gid, in.shm_perm.mode};
  }
  if (version == IpcVersion::kIpc64) {
    const auto in = load<i386::ipc64_perm>(bytes);
    return {in.uid, in.gid, in.mode};
  }
  const auto in = load<i386::ipc_perm>(bytes);
  return {in.uid, in.gid, in.mode};
}

}  // namespace shmvisor
