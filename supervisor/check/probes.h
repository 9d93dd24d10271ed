// The probes of `shmvisor check`, by what they are about. See probe.h for their rules.
#pragma once

#include <vector>

#include "supervisor/check/probe.h"

namespace shmvisor {

/// seccomp user notification: what answers a call.
std::vector<Probe> notify_probes();
/// Other processes: what finds, reads and stops a caller.
std::vector<Probe> process_probes();
/// Memory files: what segments are made of, and how the last mapping of one is noticed.
std::vector<Probe> memfd_probes();
/// What the command may be shown in /proc, and have for itself: --proc, --userns, --private-ipc.
std::vector<Probe> proc_mount_probes();
/// /proc and the limits of this user.
std::vector<Probe> environment_probes();

}  // namespace shmvisor
