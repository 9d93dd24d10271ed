// Loans: descriptors that callers are about to fetch.
//
// A caller that completes its call by itself (CompletedByCaller) asks for the descriptor that it is
// to map once it runs the call page's code, by its own call, from a place of the page's. So the
// descriptor is in the caller's table for no longer than that code needs, and should we die before,
// it never gets there. Until then the description is kept here, and counts as a mapping does. A
// caller that dies first does not ask, and a caller that is stopped asks late.
//
// Bounds: each loan costs a descriptor of ours. There are kMost at most, and of one user (see
// accountable_user.h) no more than are free. A caller that gets none attaches in another way.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/kernel/features.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

class Loans {
 public:
  static constexpr std::size_t kMost = 64;

  /// Makes room for one of the thread with this number, ThreadIdentity::unique(), and forgets one
  /// that it did not fetch. False where there is none. Followed by keep() or cancel().
  [[nodiscard]] bool reserve(std::uint64_t unique, pid_t tid, uid_t user);
  /// The thread asks for it at most once.
  void keep(std::uint64_t unique, UniqueFd file, const LentDescriptor& lent);
  void cancel(std::uint64_t unique);
  /// Answers the thread that asks with a number of its table: EINVAL where nothing is kept.
  void answer(PendingCall& call, std::uint64_t unique);
  [[nodiscard]] bool any() const { return count_.load() != 0; }
  /// Forgets the loans whose threads have ended. Answers when to look again: 0 where no loan is
  /// kept; ever later where a thread, a stopped one say, does not ask for its loan.
  std::chrono::milliseconds look(KernelFeatures& features);

 private:
  using Clock = std::chrono::steady_clock;
  struct Loan {
    std::uint64_t unique = 0;
    pid_t tid = 0;
    uid_t user = 0;
    UniqueFd file = {};  ///< invalid: reserved
    std::optional<LentDescriptor> lent = {};
    Clock::time_point since = {};
  };

  void forget(std::uint64_t unique) REQUIRES(mutex_);
  /// The loan that is kept since then; nothing where it is gone.
  void forget_kept(std::uint64_t unique, Clock::time_point since);

  Mutex mutex_;
  std::vector<Loan> loans_ GUARDED_BY(mutex_);
  std::atomic<std::size_t> count_{0};  ///< of loans_
};

}  // namespace shmvisor
