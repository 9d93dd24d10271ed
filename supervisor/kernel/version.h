// Which build this is.
//
// Each is a function of a file of its own, so that tests link builds of other versions.
#pragma once

namespace shmvisor {

/// As `shmvisor --version` says.
[[nodiscard]] const char* program_version();
/// Of what a keeper hands over to another program (KeptStore).
[[nodiscard]] int handover_version();

}  // namespace shmvisor
