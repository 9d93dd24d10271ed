// The ABIs of an aarch64 kernel: its own, and that of arm programs (EABI), where the processor and
// the kernel have it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <initializer_list>
#include <optional>

namespace shmvisor {

enum class Abi : std::uint8_t { kAarch64, kArm };

inline constexpr Abi kNativeAbi = Abi::kAarch64;

/// Whether arguments, addresses and sizes have 32 bits; what is above them does not count.
constexpr bool has_32_bits(Abi abi) {
  switch (abi) {
    case Abi::kAarch64:
      return false;
    case Abi::kArm:
      return true;
  }
  __builtin_unreachable();
}

/// What seccomp_data.arch says of a call by it: AUDIT_ARCH_* of include/uapi/linux/audit.h.
constexpr std::uint32_t audit_architecture(Abi abi) {
  switch (abi) {
    case Abi::kAarch64:
      return 0xc00000b7;
    case Abi::kArm:
      return 0x40000028;
  }
  __builtin_unreachable();
}

/// Nothing for an architecture whose calls no kernel of this one has.
constexpr std::optional<Abi> abi_of_architecture(std::uint32_t audit_architecture_value) {
  for (const Abi abi : {Abi::kAarch64, Abi::kArm}) {
    if (audit_architecture(abi) == audit_architecture_value) return abi;
  }
  return std::nullopt;
}

/// PAGE_SIZE, which is 4, 16 or 64 KiB as the kernel was configured.
inline const std::uint64_t kPageBytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
/// SHMLBA, arch/arm64/include/asm/shmparam.h.
inline const std::uint64_t kShmlbaBytes = kPageBytes;

}  // namespace shmvisor
