// Work in threads that nobody waits for. They may be lost, since the work may wait for another
// process for ever.
//
// Each user has a share of the threads: kMostOfOne of them, and no more than are free. Work beyond
// the share is queued, up to kMostQueuedOfOne. Work beyond that is destroyed without being run, in
// a thread that waits for nobody. The calling thread neither runs nor destroys the work, unless no
// thread can be created at all.
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

/// For work that no user caused.
inline constexpr uid_t kNobodysWork = static_cast<uid_t>(-1);

/// `work` must own all that it uses. `user`: the user accountable for it. False where `work` is
/// destroyed without being run.
bool run_aside(uid_t user, std::function<void()> work) noexcept;

}  // namespace shmvisor
