// `shmvisor check`: what of this kernel and environment shmvisor can use.
//
// Prints a table, one row for each probe: its name, what was found, and, where something is missing
// or worth knowing, what that means.
// Exit status: 0 when shmvisor can run here, 125 when something is missing that nothing replaces.
// Thread rule: forks, so call from a program's only thread.
#pragma once

#include <iosfwd>
#include <span>

#include "supervisor/check/probe.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

inline constexpr int kCannotRun = 125;

/// Runs every probe. Features that `features` has as absent show as switched off and are not tried;
/// those that are found missing are absent in it afterwards.
int run_check(std::ostream& out, KernelFeatures& features);

/// The same for a list of probes.
int run_probes(std::span<const Probe> probes, std::ostream& out, KernelFeatures& features);

}  // namespace shmvisor
