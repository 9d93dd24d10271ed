// Loans: descriptors that callers are about to fetch.
//
// A caller that is left to the call page asks for the descriptor that it is to map once it runs
// there, by its own call, from a place of the page's. So the descriptor is in its table for no
// longer than the page's code needs, and should we die before, it never gets there. Until then the
// description is kept here, and counts as a mapping does. A caller that dies first does not ask.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/kernel/features.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

class Loans {
 public:
  /// For the thread with this number, ThreadIdentity::unique(). It asks at most once for each.
  void keep(std::uint64_t unique, pid_t tid, UniqueFd file, const LentDescriptor& lent);
  /// Answers the thread that asks with a number of its table: EINVAL where nothing is kept.
  void answer(PendingCall& call, std::uint64_t unique);
  /// Forgets those whose threads have ended. Whether to look again soon: not for one that its
  /// thread, stopped say, did not ask for in a second.
  bool look(KernelFeatures& features);

 private:
  using Clock = std::chrono::steady_clock;
  struct Loan {
    std::uint64_t unique = 0;
    pid_t tid = 0;
    UniqueFd file;
    LentDescriptor lent;
    Clock::time_point since;
  };

  std::mutex mutex_;
  std::vector<Loan> loans_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace shmvisor
