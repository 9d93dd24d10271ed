// BorrowedTable: maps a file into a caller whose descriptor table is full.
//
// shmat(2) needs no descriptor, mmap(2) does. Taking one of the caller's for a moment would be seen
// by its other threads. So the stopped caller is made to clone a process that shares its memory but
// has a copy of its table; that one closes a descriptor of its copy, gets ours instead, maps it,
// and is killed and reaped. It never runs an instruction of the caller's but those that enter the
// kernel.
//
// Errors: ENOMEM where the process cannot be made or does not do its part.
// Thread rule: the thread that holds the stop.
#pragma once

#include <array>
#include <cstdint>

#include "policy/base/result.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class BorrowedTable {
 public:
  BorrowedTable(PtraceStop& caller, Abi abi, Listener& listener, ExpectedCalls& expected)
      : caller_(caller), abi_(abi), listener_(listener), expected_(expected) {}

  /// mmap(2)'s result. `arguments` are mmap's; the descriptor among them is filled in.
  Result<std::int64_t> map(int fd, std::array<std::uint64_t, 6> arguments);

 private:
  Result<std::int64_t> map_in(PtraceStop& lender, int fd, std::array<std::uint64_t, 6> arguments);
  void make_room(PtraceStop& lender);
  /// Where we may not: it may up to its hard limit.
  void raise_own_limit(PtraceStop& lender);

  PtraceStop& caller_;
  const Abi abi_;
  Listener& listener_;
  ExpectedCalls& expected_;
};

}  // namespace shmvisor
