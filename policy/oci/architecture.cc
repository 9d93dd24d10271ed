#include "policy/oci/architecture.h"

#include <algorithm>

#include "emulation/abi/abi.h"

namespace shmvisor {
namespace {

struct ArchitectureName {
  std::string_view name;
  const char* meant;
};
constexpr ArchitectureName kArchitectureNames[] = {
    {kArchX86_64, kArchX86_64},   {"x86_64", kArchX86_64},   {"x86-64", kArchX86_64},
    {"amd64", kArchX86_64},       {kArchX86, kArchX86},      {"x86", kArchX86},
    {"i386", kArchX86},           {"i686", kArchX86},        {"386", kArchX86},
    {kArchAarch64, kArchAarch64}, {"aarch64", kArchAarch64}, {"arm64", kArchAarch64},
    {kArchArm, kArchArm},         {"arm", kArchArm},         {"armhf", kArchArm},
    {"armel", kArchArm},          {"arm/v7", kArchArm},      {"armv7", kArchArm},
    {"armv7l", kArchArm},         {"armv8l", kArchArm},
};

}  // namespace

std::vector<std::string> architectures_here() {
  constexpr auto kHere = std::ranges::find(kArchitectureFamilies, audit_architecture(kNativeAbi),
                                           &ArchitectureFamily::audit_architecture);
  static_assert(kHere != kArchitectureFamilies.end(), "profiles do not know this architecture");
  return {kHere->native, kHere->narrow};
}

std::optional<std::string> find_architecture(std::string_view name) {
  const auto* const found = std::ranges::find(kArchitectureNames, name, &ArchitectureName::name);
  if (found == std::end(kArchitectureNames)) return std::nullopt;
  return found->meant;
}

}  // namespace shmvisor
