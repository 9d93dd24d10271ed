// recent_name(): the name of the command that a calling thread runs.
//
// The name is read from /proc, which takes microseconds. A serving thread that asks again for the
// same caller within kNameHolds gets the name that it read last. So the first calls after an exec
// may be shown with the old name.
//
// Thread rule: any thread; each thread remembers only what it read itself.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>

namespace shmvisor {

/// The name that process_name() returns, cut to 15 characters, with a 0 behind them.
using CommandName = std::array<char, 16>;

constexpr std::chrono::milliseconds kNameHolds{20};

/// To be called while the caller waits for its answer, so that `tid` is still its own. Empty if
/// memory runs out.
CommandName recent_name(pid_t tid) noexcept;

}  // namespace shmvisor
