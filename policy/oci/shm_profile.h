// ShmProfile: the linux.seccomp object of the OCI runtime specification (config-linux.md) by which
// a container's shared memory calls come to `shmvisor agent`.
//
// Its rules are made of policy/filter/notified_calls.h, as our own filter is. What that filter has
// besides is not for containers: unshare(2) and setns(2), because a notified call is let through
// and a profile may forbid them (the agent asks anew at each call where a thread lives); and the
// traced calls, which an agent does without. Without i386 (or 32-bit Arm) among its architectures a
// filter kills whoever makes a call of it (libseccomp's answer to those that it was not made for).
//
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/oci/listener_path.h"
#include "policy/oci/strict_json.h"

namespace shmvisor {

struct ShmProfile {
  /// SCMP_ARCH_* (policy/oci/architecture.h). Empty: not asked for; those of this machine, where a
  /// profile is new.
  std::vector<std::string> architectures{};
  /// SECCOMP_FILTER_FLAG_*. None by default: runc before 1.2 starts no container with any flag, and
  /// before 1.4.1 none with WAIT_KILLABLE_RECV; crun starts none with a flag that it does not know.
  std::vector<std::string> flags{};
  std::string listener_path = kDefaultListenerPath;
  std::optional<std::string> metadata{};  ///< policy/limits/container_metadata.h
};

inline constexpr const char* kActNotify = "SCMP_ACT_NOTIFY";

/// Flags that the specification has, and that do a listener no harm.
std::span<const char* const> filter_flags();

/// Whether runtimes can connect there: absolute, what fits into a sockaddr_un, printable ASCII.
bool is_listener_path(std::string_view path);

/// The rules that notify: one for the four calls, and with `i386` one for each sub-call of ipc(2),
/// with whatever version in its upper bits.
OrderedJson shm_rules(bool i386);

/// A condition of a rule on its call's first argument: (argument & mask) == value.
OrderedJson masked_condition(std::uint32_t mask, std::uint32_t value);

/// The whole object: everything but shared memory is allowed.
OrderedJson new_profile(const ShmProfile& wanted);

/// As it is printed: with line breaks, ending with one.
std::string to_text(const OrderedJson& json);

}  // namespace shmvisor
