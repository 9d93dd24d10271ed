// Architectures as seccomp profiles name them: SCMP_ARCH_*. A profile may be made on one machine
// for containers of another one, so all of them are known everywhere.
//
// Thread rule: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shmvisor {

/// A kernel's own architecture, and that of the 32-bit programs which it may run as well.
struct ArchitectureFamily {
  const char* native;
  const char* narrow;
  std::uint32_t audit_architecture;  ///< of the native one: AUDIT_ARCH_* of <linux/audit.h>
};

inline constexpr const char* kArchX86_64 = "SCMP_ARCH_X86_64";
inline constexpr const char* kArchX86 = "SCMP_ARCH_X86";
inline constexpr const char* kArchAarch64 = "SCMP_ARCH_AARCH64";
inline constexpr const char* kArchArm = "SCMP_ARCH_ARM";

inline constexpr ArchitectureFamily kX86Family = {kArchX86_64, kArchX86, 0xc000003e};
inline constexpr ArchitectureFamily kArmFamily = {kArchAarch64, kArchArm, 0xc00000b7};
inline constexpr std::array kArchitectureFamilies = {kX86Family, kArmFamily};

/// That of the machine that this was built for, the native one first.
std::vector<std::string> architectures_here();

/// An architecture as the specification, Docker, Debian or uname(1) name it; nullopt for others
/// than those that are served.
std::optional<std::string> find_architecture(std::string_view name);

}  // namespace shmvisor
