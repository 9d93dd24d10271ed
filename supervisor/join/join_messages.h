// The messages of a joining and a serving shmvisor over the socket of `run --serve`.
//
//   the server greets, as soon as somebody has connected       Greeting
//   the joining one hands its listener over, and the user
//     namespace of its command where it wants files in /proc   Request, with one or two descriptors
//   the server answers, with a file system for that /proc,
//     which it made itself (FuseMount); once more, where a
//     keeper's server died before it knew that it had         Answer, with at most one descriptor
//   when the last process of the command has ended, it takes
//     its leave; a server that closes without has ended itself Farewell
//
// Both are the same program on one machine; the first field of a greeting and of a request changes
// with the structures here. The server trusts nothing that the joining side sends: the kernel names
// the peer of the connection, and the server learns how the filter behaves.
#pragma once

#include <array>
#include <cstdint>

#include "supervisor/procfiles/proc_mount_failure.h"

namespace shmvisor::join {

using Words = std::array<char, 16>;
inline constexpr Words kGreetingWords = {"shmvisor serve2"};
inline constexpr Words kRequestWords = {"shmvisor joins3"};
inline constexpr Words kFarewellWords = {"shmvisor leaves"};

struct Greeting {
  Words words = kGreetingWords;
};

struct Request {
  Words words = kRequestWords;
  std::uint32_t tracer_wait_ms = 0;  ///< how long a caller waits for its tracer to leave
  std::uint8_t wants_files = 0;      ///< 1: it wants files in /proc
};

struct Answer {
  std::uint8_t accepted = 0;       ///< 1: accepted
  ProcMountFailure missing = {};   ///< why there are no files in /proc that were wanted
  std::array<char, 255> reason{};  ///< why it is not accepted; ends with a zero
};

struct Farewell {
  Words words = kFarewellWords;
};

}  // namespace shmvisor::join
