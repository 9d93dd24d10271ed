// What crosses the system call boundary: commands and flags of System V shared memory, and structs,
// whose layouts are those of asm-generic (layouts_64.h, layouts_32.h).
//
// Constants have the kernel's names and values (include/uapi/linux/shm.h, ipc.h) in a namespace of
// their own, so that <sys/shm.h> can be included beside them.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "emulation/abi/abi.h"

namespace shmvisor {

/// The two generations of struct layouts: IPC_64 is asked for by a bit in the command of the
/// ipc(2) multiplexer; the separate system calls always mean kIpc64, but for those of
/// CallNumbers::shmctl_has_version.
enum class IpcVersion : std::uint8_t { kOld, kIpc64 };

namespace abi {

inline constexpr int kIpcPrivate = 0;
inline constexpr int kIpcCreat = 01000;
inline constexpr int kIpcExcl = 02000;

inline constexpr int kShmHugetlb = 04000;
inline constexpr int kShmNoreserve = 010000;
inline constexpr int kShmHugeShift = 26;
inline constexpr int kShmHugeMask = 0x3f;

inline constexpr int kShmRdonly = 010000;
inline constexpr int kShmRnd = 020000;
inline constexpr int kShmRemap = 040000;
inline constexpr int kShmExec = 0100000;

inline constexpr int kIpcRmid = 0;
inline constexpr int kIpcSet = 1;
inline constexpr int kIpcStat = 2;
inline constexpr int kIpcInfo = 3;
inline constexpr int kShmLock = 11;
inline constexpr int kShmUnlock = 12;
inline constexpr int kShmStat = 13;
inline constexpr int kShmInfo = 14;
inline constexpr int kShmStatAny = 15;
/// Version bit in a command.
inline constexpr int kIpc64 = 0x100;

/// Bits of ipc_perm.mode above the permissions.
inline constexpr mode_t kShmDest = 01000;
inline constexpr mode_t kShmLocked = 02000;
inline constexpr mode_t kPermissionBits = 0777;

}  // namespace abi

/// struct shmid_ds before it takes the shape of an ABI. Times in seconds since the epoch.
struct ShmidDs {
  key_t key = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uid_t cuid = 0;
  gid_t cgid = 0;
  mode_t mode = 0;
  std::uint16_t seq = 0;
  std::uint64_t segsz_bytes = 0;
  std::int64_t atime = 0;
  std::int64_t dtime = 0;
  std::int64_t ctime = 0;
  pid_t cpid = 0;
  pid_t lpid = 0;
  std::uint64_t nattch = 0;
};

/// struct shminfo: the limits. shmmax in bytes, shmall in pages.
struct ShmInfoLimits {
  std::uint64_t shmmax = 0;
  std::uint64_t shmmin = 0;
  std::uint64_t shmmni = 0;
  std::uint64_t shmseg = 0;
  std::uint64_t shmall = 0;
};

/// struct shm_info: what is in use, in pages.
struct ShmInfoUsage {
  int used_ids = 0;
  std::uint64_t tot_pages = 0;
  std::uint64_t rss_pages = 0;
  std::uint64_t swp_pages = 0;
};

/// The part of struct shmid_ds that IPC_SET reads.
struct IpcSetRequest {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0;
};

/// A struct as the caller's memory shall hold it: at most the largest layout, no allocation.
class AbiBytes {
 public:
  static constexpr std::size_t kCapacity = 112;
  explicit AbiBytes(std::size_t size) : size_(size) {}
  template <typename Layout>
  static AbiBytes of(const Layout& layout) {
    static_assert(sizeof(Layout) <= kCapacity);
    AbiBytes bytes(sizeof(Layout));
    __builtin_memcpy(bytes.storage_.data(), &layout, sizeof(Layout));
    return bytes;
  }
  [[nodiscard]] std::span<const std::byte> view() const { return {storage_.data(), size_}; }
  [[nodiscard]] std::span<std::byte> writable() { return {storage_.data(), size_}; }

 private:
  std::array<std::byte, kCapacity> storage_{};
  std::size_t size_;
};

AbiBytes encode_shmid_ds(Abi abi, IpcVersion version, const ShmidDs& ds);
AbiBytes encode_shminfo(Abi abi, IpcVersion version, const ShmInfoLimits& limits);
AbiBytes encode_shm_info(Abi abi, const ShmInfoUsage& usage);

/// Where in the caller's struct shmid_ds IPC_SET's fields lie: read `size` bytes, then decode.
std::size_t shmid_ds_size(Abi abi, IpcVersion version);
/// Precondition: bytes.size() == shmid_ds_size(abi, version).
IpcSetRequest decode_ipc_set(Abi abi, IpcVersion version, std::span<const std::byte> bytes);

}  // namespace shmvisor
