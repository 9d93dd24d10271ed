// recent_name(): the name of the command that a calling thread runs.
//
// The name is read from /proc, which takes microseconds. A serving thread that asks again for the
// same caller within kNameHolds gets what it read. So the first calls after an exec may bear the
// old name.
//
// Thread rule: any thread; each remembers what it read itself.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>

namespace shmvisor {

/// As process_name() has it, cut to 15 characters, with a 0 behind them.
using CommandName = std::array<char, 16>;

constexpr std::chrono::milliseconds kNameHolds{20};

/// While the caller waits for its answer, so that the number is still its own. Empty where memory
/// runs out.
CommandName recent_name(pid_t tid) noexcept;

}  // namespace shmvisor
