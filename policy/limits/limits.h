// Limits: the four numbers that bound System V shared memory, and how they are written.
//
// The defaults are the kernel's (include/uapi/linux/shm.h, ipc/shm.c: shm_init_ns); what may be set
// is what /proc/sys/kernel/shm{max,all,mni} take (ipc/ipc_sysctl.c): any unsigned long for the
// first two, 0 to IPCMNI for the third, and 0 forbids every new segment.
//
// Errors: EINVAL where sysctl or this grammar refuses the text, ERANGE where it overflows.
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "policy/base/result.h"

namespace shmvisor {

struct Limits {
  /// IPCMNI (include/linux/ipc_namespace.h), the hard ceiling of shmmni. A kernel booted with
  /// ipcmni_extend has a higher one; identifiers here have the usual 15 bits of index.
  static constexpr std::uint32_t ipcmni = 32768;
  /// Smallest size of a new segment, in bytes; not to be changed, as in the kernel (SHMMIN).
  static constexpr std::uint64_t shmmin = 1;
  /// ULONG_MAX - (1UL << 24), which the kernel uses for SHMMAX and SHMALL both.
  static constexpr std::uint64_t unlimited =
      std::numeric_limits<std::uint64_t>::max() - (std::uint64_t{1} << 24);

  /// Largest size of one segment, in bytes.
  std::uint64_t shmmax = unlimited;
  /// Most memory in all segments together, in pages of the system's page size.
  std::uint64_t shmall = unlimited;
  /// Most segments at a time.
  std::uint32_t shmmni = 4096;

  friend constexpr bool operator==(const Limits&, const Limits&) = default;
};

/// Some of the limits; what is not set stays.
struct LimitSettings {
  std::optional<std::uint64_t> shmmax = {};
  std::optional<std::uint64_t> shmall = {};
  std::optional<std::uint32_t> shmmni = {};

  void apply_to(Limits& limits) const {
    if (shmmax) limits.shmmax = *shmmax;
    if (shmall) limits.shmall = *shmall;
    if (shmmni) limits.shmmni = *shmmni;
  }
  /// Those of them that `other` does not set.
  [[nodiscard]] LimitSettings without(const LimitSettings& other) const {
    LimitSettings left = *this;
    if (other.shmmax) left.shmmax.reset();
    if (other.shmall) left.shmall.reset();
    if (other.shmmni) left.shmmni.reset();
    return left;
  }
  /// These, and of `others` those that these do not set.
  [[nodiscard]] LimitSettings or_else(const LimitSettings& others) const {
    LimitSettings all = others;
    if (shmmax) all.shmmax = shmmax;
    if (shmall) all.shmall = shmall;
    if (shmmni) all.shmmni = shmmni;
    return all;
  }
  [[nodiscard]] bool sets_any() const { return shmmax || shmall || shmmni; }
  /// Sets the limit of that name ("shmmax", "shmall", "shmmni") to what the text says. False where
  /// it says no such limit.
  bool set(std::string_view name, std::string_view text);
  friend bool operator==(const LimitSettings&, const LimitSettings&) = default;
};

/// A decimal number with an optional suffix K, M, G or T (either case, powers of 1024).
/// EINVAL: anything else, also a sign, a blank, a fraction or a radix prefix. ERANGE: above 2^64-1.
Result<std::uint64_t> parse_size(std::string_view text);

/// The same for shmmni; EINVAL above Limits::ipcmni, however far, as sysctl answers.
Result<std::uint32_t> parse_shmmni(std::string_view text);

}  // namespace shmvisor
