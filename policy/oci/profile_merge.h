// Merging a ShmProfile into a profile that is there: a config.json of the OCI runtime
// specification, its linux.seccomp alone, or a profile of Docker, podman or containerd (archMap,
// includes, excludes; containers/common pkg/seccomp/types.go).
//
// The four calls leave the rules that they are in, and rules of ours follow the others. A rule for
// ipc(2), where the profile is for i386 as well, gives way to rules for all sub-calls but ours: in
// libseccomp a rule without a condition wins over those with one. All else stays as it is, the
// architectures too unless some are asked for. Merging the same once more changes nothing.
//
// Thread rule: any thread, no shared state.
#pragma once

#include <string>
#include <string_view>

#include "policy/base/result.h"
#include "policy/oci/shm_profile.h"

namespace shmvisor {

/// One clause.
struct BadProfile {
  std::string reason;
};

/// The merged profile as text. Refused are, besides what is no such profile, one that has another
/// listener, or other calls notified; and a rule for ipc(2) that compares its first argument in a
/// way that holds for some of ours and for others.
Result<std::string, BadProfile> merge_profile(std::string_view text, const ShmProfile& wanted);

}  // namespace shmvisor
