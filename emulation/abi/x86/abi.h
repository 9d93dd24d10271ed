// The ABIs of an x86-64 kernel: its own, and that of i386 programs. x32 has the numbers of x86-64
// with a bit of its own, and no System V IPC here (policy/filter).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>

namespace shmvisor {

enum class Abi : std::uint8_t { kX86_64, kI386 };

inline constexpr Abi kNativeAbi = Abi::kX86_64;

/// Whether arguments, addresses and sizes have 32 bits; what is above them does not count.
constexpr bool has_32_bits(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return false;
    case Abi::kI386:
      return true;
  }
  __builtin_unreachable();
}

/// What seccomp_data.arch says of a call by it: AUDIT_ARCH_* of include/uapi/linux/audit.h.
constexpr std::uint32_t audit_architecture(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return 0xc000003e;
    case Abi::kI386:
      return 0x40000003;
  }
  __builtin_unreachable();
}

/// Nothing for an architecture whose calls no kernel of this one has.
constexpr std::optional<Abi> abi_of_architecture(std::uint32_t audit_architecture_value) {
  for (const Abi abi : {Abi::kX86_64, Abi::kI386}) {
    if (audit_architecture(abi) == audit_architecture_value) return abi;
  }
  return std::nullopt;
}

/// PAGE_SIZE.
inline constexpr std::uint64_t kPageBytes = 4096;
/// SHMLBA, arch/x86/include/asm/shmparam.h: attach addresses are multiples of it.
inline constexpr std::uint64_t kShmlbaBytes = kPageBytes;

}  // namespace shmvisor
