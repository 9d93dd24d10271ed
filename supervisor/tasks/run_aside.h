// Work in threads that nobody waits for, and that may be lost: it may wait for somebody for ever.
//
// Each user has a share of the threads, so that who keeps some of them keeps its own: kMostOfOne of
// them, and no more than are free. What finds none is queued, up to kMostQueuedOfOne; what is more
// than that is destroyed without being run, in a thread that waits for nobody. Whoever hands work
// over neither runs nor destroys it, unless no thread can be had at all.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>

namespace shmvisor {

inline constexpr int kMostThreadsAside = 32;
inline constexpr int kMostOfOne = 2;
inline constexpr std::size_t kMostQueuedOfOne = 32;

/// Work of ours.
inline constexpr uid_t kNobodysWork = static_cast<uid_t>(-1);

/// `work` must own all that it uses. `user`: who is accountable for it. False where it is destroyed
/// without being run.
bool run_aside(uid_t user, std::function<void()> work) noexcept;

}  // namespace shmvisor
