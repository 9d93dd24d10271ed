#include "supervisor/kernel/features.h"

namespace shmvisor {
namespace {

// In the order of KernelFeature.
constexpr std::array<std::string_view, static_cast<std::size_t>(KernelFeature::kCount)> kNames = {
    "wait-killable-recv", "sync-wake-up",         "pidfd-getfd", "pidfd-thread", "pidfd-get-info",
    "procmap-query",      "noexec-seal",          "cachestat",   "kcmp",         "inotify",
    "call-page",          "user-dispatch-config", "memfd-lease", "call-sites",   "late-call-sites",
    "addfd-send",         "namespace-handles",
};
static_assert(!kNames.back().empty(), "every feature has a name");

}  // namespace

std::string_view KernelFeatures::name(KernelFeature feature) {
  return kNames.at(static_cast<std::size_t>(feature));
}

std::optional<KernelFeature> KernelFeatures::by_name(std::string_view name) {
  for (std::size_t index = 0; index < kNames.size(); ++index) {
    if (kNames[index] == name) return static_cast<KernelFeature>(index);
  }
  return std::nullopt;
}

}  // namespace shmvisor
