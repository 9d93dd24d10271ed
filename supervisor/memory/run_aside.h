// Work in a thread that nobody waits for, and that may be lost: it may wait for somebody for ever.
#pragma once

#include <functional>

namespace shmvisor {

/// `work` must own all that it uses. It is dropped where no thread can be had, or where kMostAside
/// of them run already; true where it is under way.
bool run_aside(std::function<void()> work);

inline constexpr int kMostAside = 32;

}  // namespace shmvisor
