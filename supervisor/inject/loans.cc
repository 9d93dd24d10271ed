#include "supervisor/inject/loans.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/outgoing_files.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kSoonest(1);
constexpr std::chrono::milliseconds kLatest(500);
/// A thread that was stopped for so long calls anew. A thread that another thread's exec ended has
/// given its number away.
constexpr std::chrono::seconds kLongest(10);

}  // namespace

bool Loans::reserve(std::uint64_t unique, pid_t tid, uid_t user) {
  const MutexLock lock(mutex_);
  forget(unique);
  const auto its_own = std::ranges::count(loans_, user, &Loan::user);
  if (static_cast<std::size_t>(its_own) >= kMost - loans_.size()) return false;
  loans_.push_back({unique, tid, user});
  count_.store(loans_.size());
  return true;
}

void Loans::keep(std::uint64_t unique, UniqueFd file, const LentDescriptor& lent) {
  const MutexLock lock(mutex_);
  const auto reserved = std::ranges::find(loans_, unique, &Loan::unique);
  reserved->file = std::move(file);
  reserved->lent = lent;
  reserved->since = Clock::now();
}

void Loans::cancel(std::uint64_t unique) {
  const MutexLock lock(mutex_);
  forget(unique);
}

void Loans::forget(std::uint64_t unique) {
  std::erase_if(loans_, [unique](const Loan& loan) { return loan.unique == unique; });
  count_.store(loans_.size());
}

void Loans::forget_kept(std::uint64_t unique, Clock::time_point since) {
  UniqueFd ended;  // closed after the lock
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find_if(loans_, [&](const Loan& loan) {
    return loan.unique == unique && loan.file.valid() && loan.since == since;
  });
  if (found == loans_.end()) return;
  ended = std::move(found->file);
  loans_.erase(found);
  count_.store(loans_.size());
}

void Loans::answer(PendingCall& call, std::uint64_t unique) {
  std::optional<Loan> loan;
  {
    const MutexLock lock(mutex_);
    const auto found = std::ranges::find(loans_, unique, &Loan::unique);
    if (found != loans_.end() && found->file.valid()) {
      loan.emplace(std::move(*found));
      loans_.erase(found);
      count_.store(loans_.size());
    }
  }
  if (!loan) {
    call.answer(-EINVAL);
    return;
  }
  const OutgoingFiles::Stay stay(unique);
  const auto answered = loan->lent->lend_as_answer(call.listener(), call.id(), call.tid());
  loan.reset();
  if (answered) {
    call.hand_over();
  } else {
    call.answer(-answered.error().value());
  }
}

std::chrono::milliseconds Loans::look(KernelFeatures& features) {
  if (count_.load() == 0) return {};
  struct Kept {
    std::uint64_t unique;
    pid_t tid;
    Clock::time_point since;
  };
  std::vector<Kept> kept;
  kept.reserve(kMost);
  {
    const MutexLock lock(mutex_);
    for (const Loan& loan : loans_) {
      // The thread that fills a reserved one asks for a look then.
      if (loan.file.valid()) kept.push_back({loan.unique, loan.tid, loan.since});
    }
  }
  const auto now = Clock::now();
  std::chrono::milliseconds again{};
  for (const Kept& loan : kept) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - loan.since);
    if (age > kLongest || !thread_lives(loan.tid, loan.unique, features)) {
      forget_kept(loan.unique, loan.since);
      continue;
    }
    const auto its_turn = std::clamp(age / 4, kSoonest, kLatest);
    again = again.count() == 0 ? its_turn : std::min(again, its_turn);
  }
  return again;
}

}  // namespace shmvisor
