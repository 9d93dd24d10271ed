#include "emulation/abi/shm_abi.h"

#include <gtest/gtest.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include <climits>
#include <cstring>

namespace shmvisor {
namespace {

/// Reads numbers out of a struct as a program of that ABI would: little endian, by offset.
class Bytes {
 public:
  explicit Bytes(const AbiBytes& bytes) : bytes_(bytes.view()) {}

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::uint64_t u16(std::size_t offset) const { return number(offset, 2); }
  [[nodiscard]] std::uint64_t u32(std::size_t offset) const { return number(offset, 4); }
  [[nodiscard]] std::uint64_t u64(std::size_t offset) const { return number(offset, 8); }

 private:
  [[nodiscard]] std::uint64_t number(std::size_t offset, std::size_t width) const {
    EXPECT_LE(offset + width, bytes_.size());
    std::uint64_t value = 0;
    for (std::size_t at = width; at-- > 0;) {
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset + at]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
};

template <typename Layout>
Layout as(const AbiBytes& bytes) {
  Layout layout;
  EXPECT_EQ(bytes.view().size(), sizeof(Layout));
  std::memcpy(&layout, bytes.view().data(), sizeof(Layout));
  return layout;
}

ShmidDs sample() {
  ShmidDs ds;
  ds.key = static_cast<key_t>(0x89abcdef);
  ds.uid = 1001;
  ds.gid = 1002;
  ds.cuid = 1003;
  ds.cgid = 1004;
  ds.mode = 03644;
  ds.seq = 0xfffe;
  ds.segsz_bytes = 0x1'2345'6789;
  ds.atime = 0x1'8000'0001;
  ds.dtime = 0x2'8000'0002;
  ds.ctime = 0x3'8000'0003;
  ds.cpid = 0x12345;
  ds.lpid = 0x23456;
  ds.nattch = 0x1'0002'0003;
  return ds;
}

TEST(ShmAbiTest, ConstantsAreThoseOfTheHeaders) {
  EXPECT_EQ(abi::kIpcPrivate, IPC_PRIVATE);
  EXPECT_EQ(abi::kIpcCreat, IPC_CREAT);
  EXPECT_EQ(abi::kIpcExcl, IPC_EXCL);
  EXPECT_EQ(abi::kShmHugetlb, SHM_HUGETLB);
  EXPECT_EQ(abi::kShmNoreserve, SHM_NORESERVE);
  EXPECT_EQ(abi::kShmRdonly, SHM_RDONLY);
  EXPECT_EQ(abi::kShmRnd, SHM_RND);
  EXPECT_EQ(abi::kShmRemap, SHM_REMAP);
  EXPECT_EQ(abi::kShmExec, SHM_EXEC);
  EXPECT_EQ(abi::kIpcRmid, IPC_RMID);
  EXPECT_EQ(abi::kIpcSet, IPC_SET);
  EXPECT_EQ(abi::kIpcStat, IPC_STAT);
  EXPECT_EQ(abi::kIpcInfo, IPC_INFO);
  EXPECT_EQ(abi::kShmLock, SHM_LOCK);
  EXPECT_EQ(abi::kShmUnlock, SHM_UNLOCK);
  EXPECT_EQ(abi::kShmStat, SHM_STAT);
  EXPECT_EQ(abi::kShmInfo, SHM_INFO);
  EXPECT_EQ(abi::kShmStatAny, SHM_STAT_ANY);
  EXPECT_EQ(abi::kShmDest, mode_t{SHM_DEST});
  EXPECT_EQ(abi::kShmLocked, mode_t{SHM_LOCKED});
}

TEST(ShmAbiTest, ShmidDsIsWhatTheCLibraryDeclares) {
  for (const IpcVersion version : {IpcVersion::kIpc64, IpcVersion::kOld}) {
    const auto ds = as<struct shmid_ds>(encode_shmid_ds(Abi::kX86_64, version, sample()));
    EXPECT_EQ(ds.shm_perm.__key, static_cast<key_t>(0x89abcdef));
    EXPECT_EQ(ds.shm_perm.uid, 1001U);
    EXPECT_EQ(ds.shm_perm.gid, 1002U);
    EXPECT_EQ(ds.shm_perm.cuid, 1003U);
    EXPECT_EQ(ds.shm_perm.cgid, 1004U);
    EXPECT_EQ(ds.shm_perm.mode, 03644U);
    EXPECT_EQ(ds.shm_perm.__seq, 0xfffe);
    EXPECT_EQ(ds.shm_segsz, 0x1'2345'6789U);
    EXPECT_EQ(ds.shm_atime, 0x1'8000'0001);
    EXPECT_EQ(ds.shm_dtime, 0x2'8000'0002);
    EXPECT_EQ(ds.shm_ctime, 0x3'8000'0003);
    EXPECT_EQ(ds.shm_cpid, 0x12345);
    EXPECT_EQ(ds.shm_lpid, 0x23456);
    EXPECT_EQ(ds.shm_nattch, 0x1'0002'0003U);
  }
}

TEST(ShmAbiTest, WhatTheCLibraryCallsReservedIsZero) {
  const auto ds = as<struct shmid_ds>(encode_shmid_ds(Abi::kX86_64, IpcVersion::kIpc64, ShmidDs()));
  const struct shmid_ds zero {};
  EXPECT_EQ(std::memcmp(&ds, &zero, sizeof(ds)), 0);
}

// compat_shmid64_ds of arch/x86/include/uapi/asm/shmbuf.h's 32-bit shape.
TEST(ShmAbiTest, I386ShmidDsOfIpc64) {
  const AbiBytes encoded = encode_shmid_ds(Abi::kI386, IpcVersion::kIpc64, sample());
  const Bytes ds(encoded);
  ASSERT_EQ(ds.size(), 84U);
  EXPECT_EQ(ds.u32(0), 0x89abcdefU);
  EXPECT_EQ(ds.u32(4), 1001U);
  EXPECT_EQ(ds.u32(8), 1002U);
  EXPECT_EQ(ds.u32(12), 1003U);
  EXPECT_EQ(ds.u32(16), 1004U);
  EXPECT_EQ(ds.u16(20), 03644U);
  EXPECT_EQ(ds.u16(22), 0U);
  EXPECT_EQ(ds.u16(24), 0xfffeU);
  EXPECT_EQ(ds.u16(26), 0U);
  EXPECT_EQ(ds.u64(28), 0U);
  EXPECT_EQ(ds.u32(36), 0x2345'6789U) << "the size loses its upper half";
  EXPECT_EQ(ds.u32(40), 0x8000'0001U);
  EXPECT_EQ(ds.u32(44), 1U);
  EXPECT_EQ(ds.u32(48), 0x8000'0002U);
  EXPECT_EQ(ds.u32(52), 2U);
  EXPECT_EQ(ds.u32(56), 0x8000'0003U);
  EXPECT_EQ(ds.u32(60), 3U);
  EXPECT_EQ(ds.u32(64), 0x12345U);
  EXPECT_EQ(ds.u32(68), 0x23456U);
  EXPECT_EQ(ds.u32(72), 0x0002'0003U);
  EXPECT_EQ(ds.u64(76), 0U);
}

// struct compat_shmid_ds of ipc/shm.c.
TEST(ShmAbiTest, I386ShmidDsOfOldTimes) {
  const AbiBytes encoded = encode_shmid_ds(Abi::kI386, IpcVersion::kOld, sample());
  const Bytes ds(encoded);
  ASSERT_EQ(ds.size(), 48U);
  EXPECT_EQ(ds.u32(0), 0x89abcdefU);
  EXPECT_EQ(ds.u16(4), 1001U);
  EXPECT_EQ(ds.u16(6), 1002U);
  EXPECT_EQ(ds.u16(8), 1003U);
  EXPECT_EQ(ds.u16(10), 1004U);
  EXPECT_EQ(ds.u16(12), 03644U);
  EXPECT_EQ(ds.u16(14), 0xfffeU);
  EXPECT_EQ(ds.u32(16), 0x2345'6789U);
  EXPECT_EQ(ds.u32(20), 0x8000'0001U);
  EXPECT_EQ(ds.u32(24), 0x8000'0002U);
  EXPECT_EQ(ds.u32(28), 0x8000'0003U);
  EXPECT_EQ(ds.u16(32), 0x2345U) << "pids lose their upper half";
  EXPECT_EQ(ds.u16(34), 0x3456U);
  EXPECT_EQ(ds.u16(36), 3U) << "so does the count of attaches";
  EXPECT_EQ(ds.u16(38), 0U);
  EXPECT_EQ(ds.u64(40), 0U);
}

// high2lowuid() of include/linux/highuid.h.
TEST(ShmAbiTest, IdsBeyondSixteenBitsShowAsTheOverflowId) {
  ShmidDs ds;
  ds.uid = 0xffff;
  ds.gid = 0x10000;
  ds.cuid = 0xfffffffe;
  ds.cgid = 65534;
  const AbiBytes encoded = encode_shmid_ds(Abi::kI386, IpcVersion::kOld, ds);
  const Bytes old(encoded);
  EXPECT_EQ(old.u16(4), 0xffffU);
  EXPECT_EQ(old.u16(6), 65534U);
  EXPECT_EQ(old.u16(8), 65534U);
  EXPECT_EQ(old.u16(10), 65534U);
  const AbiBytes wide = encode_shmid_ds(Abi::kI386, IpcVersion::kIpc64, ds);
  EXPECT_EQ(Bytes(wide).u32(8), 0x10000U);
  EXPECT_EQ(Bytes(wide).u32(12), 0xfffffffeU);
}

TEST(ShmAbiTest, ShminfoIsWhatTheCLibraryDeclares) {
  const ShmInfoLimits limits{ULONG_MAX - (1UL << 24), 1, 4096, 4096, ULONG_MAX - (1UL << 24)};
  const AbiBytes bytes = encode_shminfo(Abi::kX86_64, IpcVersion::kIpc64, limits);
  const auto info = as<struct shminfo>(bytes);
  EXPECT_EQ(info.shmmax, ULONG_MAX - (1UL << 24));
  EXPECT_EQ(info.shmmin, 1U);
  EXPECT_EQ(info.shmmni, 4096U);
  EXPECT_EQ(info.shmseg, 4096U);
  EXPECT_EQ(info.shmall, ULONG_MAX - (1UL << 24));
  for (std::size_t offset = 40; offset < 72; offset += 8) EXPECT_EQ(Bytes(bytes).u64(offset), 0U);
}

// copy_compat_shminfo_to_user(): shmmax is capped in both generations, the rest loses its half.
TEST(ShmAbiTest, I386ShminfoCapsTheLargestSize) {
  const ShmInfoLimits limits{ULONG_MAX - (1UL << 24), 1, 32768, 32768, 0x1'0000'0007};
  for (const IpcVersion version : {IpcVersion::kIpc64, IpcVersion::kOld}) {
    const AbiBytes encoded = encode_shminfo(Abi::kI386, version, limits);
    const Bytes info(encoded);
    ASSERT_EQ(info.size(), version == IpcVersion::kIpc64 ? 36U : 20U);
    EXPECT_EQ(info.u32(0), 0x7fffffffU);
    EXPECT_EQ(info.u32(4), 1U);
    EXPECT_EQ(info.u32(8), 32768U);
    EXPECT_EQ(info.u32(12), 32768U);
    EXPECT_EQ(info.u32(16), 7U);
    if (version == IpcVersion::kIpc64) {
      EXPECT_EQ(info.u64(20), 0U);
      EXPECT_EQ(info.u64(28), 0U);
    }
  }
  const ShmInfoLimits small{0x7ffffffe, 1, 1, 1, 1};
  const AbiBytes uncapped = encode_shminfo(Abi::kI386, IpcVersion::kOld, small);
  EXPECT_EQ(Bytes(uncapped).u32(0), 0x7ffffffeU);
}

TEST(ShmAbiTest, ShmInfo) {
  const ShmInfoUsage usage{7, 0x1'0000'0008, 9, 10};
  const auto info = as<struct shm_info>(encode_shm_info(Abi::kX86_64, usage));
  EXPECT_EQ(info.used_ids, 7);
  EXPECT_EQ(info.shm_tot, 0x1'0000'0008U);
  EXPECT_EQ(info.shm_rss, 9U);
  EXPECT_EQ(info.shm_swp, 10U);
  EXPECT_EQ(info.swap_attempts, 0U);
  EXPECT_EQ(info.swap_successes, 0U);

  const AbiBytes narrow_bytes = encode_shm_info(Abi::kI386, usage);
  const Bytes narrow(narrow_bytes);
  ASSERT_EQ(narrow.size(), 24U);
  EXPECT_EQ(narrow.u32(0), 7U);
  EXPECT_EQ(narrow.u32(4), 8U);
  EXPECT_EQ(narrow.u32(8), 9U);
  EXPECT_EQ(narrow.u32(12), 10U);
  EXPECT_EQ(narrow.u64(16), 0U);
}

TEST(ShmAbiTest, IpcSetReadsOwnerAndModeOfAnX8664Struct) {
  struct shmid_ds ds {};
  ds.shm_perm.uid = 0xfffffffe;
  ds.shm_perm.gid = 12;
  ds.shm_perm.mode = 0123456;
  ds.shm_perm.cuid = 99;
  ASSERT_EQ(shmid_ds_size(Abi::kX86_64, IpcVersion::kIpc64), sizeof(ds));
  const IpcSetRequest request =
      decode_ipc_set(Abi::kX86_64, IpcVersion::kIpc64, std::as_bytes(std::span(&ds, 1)));
  EXPECT_EQ(request.uid, 0xfffffffeU);
  EXPECT_EQ(request.gid, 12U);
  EXPECT_EQ(request.mode, 0123456U);
}

// get_compat_ipc64_perm() and get_compat_ipc_perm() of ipc/compat.c read the permissions alone.
TEST(ShmAbiTest, IpcSetReadsOnlyThePermissionsOfAnI386Struct) {
  ASSERT_EQ(shmid_ds_size(Abi::kI386, IpcVersion::kIpc64), 36U);
  ASSERT_EQ(shmid_ds_size(Abi::kI386, IpcVersion::kOld), 16U);
  std::array<std::byte, 36> wide{};
  const std::uint32_t uid = 0x10001;
  const std::uint32_t gid = 0x10002;
  const std::uint16_t mode = 0640;
  std::memcpy(&wide[4], &uid, 4);
  std::memcpy(&wide[8], &gid, 4);
  std::memcpy(&wide[20], &mode, 2);
  IpcSetRequest request = decode_ipc_set(Abi::kI386, IpcVersion::kIpc64, wide);
  EXPECT_EQ(request.uid, 0x10001U);
  EXPECT_EQ(request.gid, 0x10002U);
  EXPECT_EQ(request.mode, 0640U);

  std::array<std::byte, 16> old{};
  const std::uint16_t short_uid = 0xffff;
  const std::uint16_t short_gid = 0xfffe;
  std::memcpy(&old[4], &short_uid, 2);
  std::memcpy(&old[6], &short_gid, 2);
  std::memcpy(&old[12], &mode, 2);
  request = decode_ipc_set(Abi::kI386, IpcVersion::kOld, old);
  EXPECT_EQ(request.uid, 0xffffU) << "16 bits of ones are a user here, not \"none\"";
  EXPECT_EQ(request.gid, 0xfffeU);
  EXPECT_EQ(request.mode, 0640U);
}

}  // namespace
}  // namespace shmvisor
