#include "supervisor/inject/loans.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "supervisor/process/thread_identity.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kSoon(1);
/// A thread that was stopped for so long calls anew. One that another thread's exec ended has given
/// its number away.
constexpr std::chrono::seconds kLongest(10);

}  // namespace

void Loans::keep(std::uint64_t unique, pid_t tid, UniqueFd file, const LentDescriptor& lent) {
  const std::lock_guard lock(mutex_);
  std::erase_if(loans_, [unique](const Loan& loan) { return loan.unique == unique; });
  loans_.push_back({unique, tid, std::move(file), lent, Clock::now()});
  count_.store(loans_.size());
}

void Loans::answer(PendingCall& call, std::uint64_t unique) {
  std::optional<Loan> loan;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(loans_, unique, &Loan::unique);
    if (found != loans_.end()) {
      loan.emplace(std::move(*found));
      loans_.erase(found);
      count_.store(loans_.size());
    }
  }
  if (!loan) {
    call.answer(-EINVAL);
    return;
  }
  const auto answered = loan->lent.lend_as_answer(call.listener(), call.id(), call.tid());
  if (answered) {
    call.leave_to_another();
  } else {
    call.answer(-answered.error().value());
  }
}

bool Loans::look(KernelFeatures& features) {
  if (count_.load() == 0) return false;
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  std::erase_if(loans_, [&features, now](const Loan& loan) {
    return now - loan.since > kLongest || !thread_lives(loan.tid, loan.unique, features);
  });
  count_.store(loans_.size());
  return std::ranges::any_of(loans_, [now](const Loan& loan) { return now - loan.since < kSoon; });
}

}  // namespace shmvisor
