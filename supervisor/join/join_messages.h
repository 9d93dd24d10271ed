// What a joining and a serving shmvisor tell each other over the socket of `run --serve`.
//
//   the server greets, as soon as somebody has connected       Greeting
//   the joining one hands its listener over, and the FUSE
//     connection of its files in /proc where it has one        Request, with one or two descriptors
//   the server answers                                         Answer
//   when the last process of the command has ended, it takes
//     its leave; a server that closes without has ended itself Farewell
//
// Both are the same program on one machine; what a greeting or a request begins with changes with
// the structures here.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "supervisor/notify/listener.h"

namespace shmvisor::join {

using Words = std::array<char, 16>;
inline constexpr Words kGreetingWords = {"shmvisor serve1"};
inline constexpr Words kRequestWords = {"shmvisor joins1"};
inline constexpr Words kFarewellWords = {"shmvisor leaves"};

struct Greeting {
  Words words = kGreetingWords;
  std::uint64_t pid_namespace = 0;  ///< inode of /proc/self/ns/pid
};

struct Request {
  Words words = kRequestWords;
  pid_t command = 0;  ///< the command's process, in the sender's pid namespace
  WaitKind wait_kind = WaitKind::kUnknown;
};

struct Answer {
  bool accepted = false;
  std::array<char, 255> reason{};  ///< why not; ends with a zero
};

struct Farewell {
  Words words = kFarewellWords;
};

}  // namespace shmvisor::join
