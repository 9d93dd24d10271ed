// `shmvisor check`: what shmvisor can use of this kernel and environment.
//
// Prints a table with one row for each probe: its name, what it found, and, where something is
// missing or worth knowing, what that means. It cannot run here when something is missing that
// nothing replaces.
// Thread rule: forks, so call from a program's only thread.
#pragma once

#include <iosfwd>
#include <span>

#include "supervisor/check/probe.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// Runs every probe. Answers whether shmvisor can run here. Features that are absent in `features`
/// are shown as switched off, and not tried. Features found missing are absent in it afterwards.
[[nodiscard]] bool run_check(std::ostream& out, KernelFeatures& features);

/// The same for a list of probes.
[[nodiscard]] bool run_probes(std::span<const Probe> probes, std::ostream& out,
                              KernelFeatures& features);

}  // namespace shmvisor
