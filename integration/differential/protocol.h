// What the interpreter and its workers say to each other: one request, one answer, over a
// SOCK_SEQPACKET pair for each worker, whose descriptors have fixed numbers in every process.
#pragma once

#include <cstdint>

#include "integration/differential/operation.h"

namespace shmvisor {

/// The worker's end of its pair is kWorkerFd + index, the interpreter's kInterpreterFd + index.
constexpr int kWorkerFd = 100;
constexpr int kInterpreterFd = 120;
/// The program itself, to execute it anew from wherever.
constexpr int kProgramFd = 140;

struct Request {
  Kind kind = Kind::kMaps;
  std::int32_t child = -1;       ///< index of the worker to begin
  std::int32_t child_stack = 0;  ///< and its stack
  std::int32_t thread = 0;       ///< setns_ipc: whose namespace
  std::int32_t through_ipc = 0;  ///< 1: by ipc(2), where the ABI has it
  std::int64_t arguments[kMostOperands] = {};
};

constexpr std::uint8_t kUntouched = 0xa5;

struct Response {
  std::int64_t result = 0;
  std::int32_t error = 0;   ///< errno; 0 where the call succeeded
  std::int32_t signal = 0;  ///< that an access to memory ended with
  std::int32_t process = 0;
  std::int32_t thread = 0;
  std::uint32_t text_size = 0;  ///< bytes that follow
  std::uint8_t buffer[128];     ///< shmctl's, filled with kUntouched beforehand
};

constexpr std::size_t kMostText = 16384;

}  // namespace shmvisor
