// poll(2), which works whatever RLIMIT_NOFILE is.
//
// poll(2) fails with EINVAL where it is asked for more descriptors than RLIMIT_NOFILE allows,
// though all of them are open. Any process of our user may lower our limit (prlimit(2)), to 0 even,
// and a hard limit cannot be raised again. Then each descriptor is asked about by epoll(7), which
// knows no such limit, again and again until the time is over.
//
// epoll(7) takes a descriptor, which has to be there before the limit is lowered:
// keep_poll_reserve(). Thread rule: any thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <span>

namespace shmvisor {

/// Opens that descriptor, while one can be had. Only the first call in a process tries.
void keep_poll_reserve();

/// As poll(2), with errno. No `timeout`: for as long as it takes. EINVAL where the limit is too low
/// and nothing is in reserve.
int poll_files(std::span<pollfd> files, std::optional<std::chrono::nanoseconds> timeout);

/// Which of `events`, and of POLLHUP, POLLERR and POLLNVAL, are there now. Nothing where it cannot
/// be told.
std::optional<short> events_now(int fd, short events);

}  // namespace shmvisor
