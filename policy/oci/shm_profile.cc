#include "policy/oci/shm_profile.h"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "policy/filter/notified_calls.h"
#include "policy/oci/architecture.h"

namespace shmvisor {
namespace {

constexpr int kIndent = 2;

constexpr std::array kFilterFlags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
                                     "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"};

}  // namespace

std::span<const char* const> filter_flags() { return kFilterFlags; }

bool is_listener_path(std::string_view path) {
  return path.starts_with('/') && path.size() < sizeof(sockaddr_un::sun_path) &&
         std::ranges::all_of(path, [](char one) { return one >= ' ' && one <= '~'; });
}

OrderedJson shm_rules(bool i386) {
  OrderedJson names = OrderedJson::array();
  for (const char* const call : kShmCalls) names.push_back(call);
  OrderedJson rules = OrderedJson::array();
  rules.push_back({{"names", names}, {"action", kActNotify}});
  if (!i386) return rules;
  for (const std::uint32_t subcall : kShmIpcSubcalls) {
    rules.push_back(
        {{"names", OrderedJson::array({kIpcCall})},
         {"action", kActNotify},
         {"args", OrderedJson::array({masked_condition(ipc_subcall::kMask, subcall)})}});
  }
  return rules;
}

OrderedJson masked_condition(std::uint32_t mask, std::uint32_t value) {
  return {{"index", 0}, {"value", mask}, {"valueTwo", value}, {"op", "SCMP_CMP_MASKED_EQ"}};
}

OrderedJson new_profile(const ShmProfile& wanted) {
  const std::vector<std::string> architectures =
      wanted.architectures.empty() ? architectures_here() : wanted.architectures;
  OrderedJson profile = {{"defaultAction", "SCMP_ACT_ALLOW"}, {"architectures", architectures}};
  if (!wanted.flags.empty()) profile["flags"] = wanted.flags;
  profile["listenerPath"] = wanted.listener_path;
  if (wanted.metadata) profile["listenerMetadata"] = *wanted.metadata;
  profile["syscalls"] =
      shm_rules(std::ranges::find(architectures, kArchX86) != architectures.end());
  return profile;
}

std::string to_text(const OrderedJson& json) { return json.dump(kIndent) + '\n'; }

}  // namespace shmvisor
