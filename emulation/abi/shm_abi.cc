#include "emulation/abi/shm_abi.h"

#include <algorithm>
#include <cassert>
#include <climits>
#include <cstring>

#include "emulation/abi/layouts_32.h"
#include "emulation/abi/layouts_64.h"

namespace shmvisor {
namespace {

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

AbiBytes encode_32_old(const ShmidDs& ds) {
  layouts_32::shmid_ds out{};
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

AbiBytes encode_32_new(const ShmidDs& ds) {
  layouts_32::shmid64_ds out{};
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

AbiBytes encode_64(const ShmidDs& ds) {
  layouts_64::shmid64_ds out{};
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

/// As `Layout`, whose fields are as wide as they are, with a shmmax of `most_shmmax` at most.
template <typename Layout>
AbiBytes encode_limits(const ShmInfoLimits& limits, std::uint64_t most_shmmax) {
  Layout out{};
  using Field = decltype(out.shmmax);
  out.shmmax = static_cast<Field>(std::min(limits.shmmax, most_shmmax));
  out.shmmin = static_cast<Field>(limits.shmmin);
  out.shmmni = static_cast<Field>(limits.shmmni);
  out.shmseg = static_cast<Field>(limits.shmseg);
  out.shmall = static_cast<Field>(limits.shmall);
  return AbiBytes::of(out);
}

template <typename Layout>
AbiBytes encode_usage(const ShmInfoUsage& usage) {
  Layout out{};
  using Field = decltype(out.shm_tot);
  out.used_ids = usage.used_ids;
  out.shm_tot = static_cast<Field>(usage.tot_pages);
  out.shm_rss = static_cast<Field>(usage.rss_pages);
  out.shm_swp = static_cast<Field>(usage.swp_pages);
  return AbiBytes::of(out);
}

template <typename Perm>
IpcSetRequest request_of(const Perm& perm) {
  return {perm.uid, perm.gid, perm.mode};
}

}  // namespace

AbiBytes encode_shmid_ds(Abi abi, IpcVersion version, const ShmidDs& ds) {
  if (!has_32_bits(abi)) return encode_64(ds);
  return version == IpcVersion::kOld ? encode_32_old(ds) : encode_32_new(ds);
}

AbiBytes encode_shminfo(Abi abi, IpcVersion version, const ShmInfoLimits& limits) {
  if (!has_32_bits(abi)) return encode_limits<layouts_64::shminfo64>(limits, UINT64_MAX);
  // copy_compat_shminfo_to_user() caps shmmax alone; the others lose their upper half.
  return version == IpcVersion::kOld ? encode_limits<layouts_32::shminfo>(limits, INT_MAX)
                                     : encode_limits<layouts_32::shminfo64>(limits, INT_MAX);
}

AbiBytes encode_shm_info(Abi abi, const ShmInfoUsage& usage) {
  return has_32_bits(abi) ? encode_usage<layouts_32::shm_info>(usage)
                          : encode_usage<layouts_64::shm_info>(usage);
}

std::size_t shmid_ds_size(Abi abi, IpcVersion version) {
  if (!has_32_bits(abi)) return sizeof(layouts_64::shmid64_ds);
  // get_compat_ipc_perm() and get_compat_ipc64_perm() read the permissions and nothing else.
  return version == IpcVersion::kOld ? sizeof(layouts_32::ipc_perm)
                                     : sizeof(layouts_32::ipc64_perm);
}

IpcSetRequest decode_ipc_set(Abi abi, IpcVersion version, std::span<const std::byte> bytes) {
  if (!has_32_bits(abi)) return request_of(load<layouts_64::shmid64_ds>(bytes).shm_perm);
  return version == IpcVersion::kOld ? request_of(load<layouts_32::ipc_perm>(bytes))
                                     : request_of(load<layouts_32::ipc64_perm>(bytes));
}

}  // namespace shmvisor
