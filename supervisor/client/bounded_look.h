// BoundedLook: looks at the memory maps of processes for a client, and waits for none of them for
// long. A process in an exec that never ends, or one that holds its memory's lock, keeps whoever
// reads its maps: such a one counts as not readable, until the look at it comes back.
//
// Ownership: a lost thread shares what it uses. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>

#include "policy/base/result.h"

namespace shmvisor::client {

class BoundedLook {
 public:
  /// Of one process; and of all after which the rest get little time.
  static constexpr std::chrono::milliseconds kPatience{500};
  static constexpr std::chrono::seconds kPatienceForAll{2};

  /// Runs `look`, which owns all that it uses, in a thread that may be lost. EAGAIN where it has
  /// not ended in time, or the process keeps an earlier one.
  Result<void> at(pid_t pid, std::function<Result<void>()> look);

 private:
  std::chrono::milliseconds left_ = kPatienceForAll;
};

}  // namespace shmvisor::client
