// `run --restore FILE`: the command's registry begins with what is in the file.
//
// Errors: a Failure is a sentence for the user. Thread rule: the main thread, before calls are
// served; it waits for the file's disk.
#pragma once

#include <optional>

#include "emulation/shm/registry.h"
#include "supervisor/launch/launched.h"

namespace shmvisor {

/// Nothing where the options name no file, or all of it is in `registry` now, which was empty.
[[nodiscard]] std::optional<Failure> restore_file(const Launched& launched, Registry& registry);

}  // namespace shmvisor
