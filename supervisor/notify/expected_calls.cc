#include "supervisor/notify/expected_calls.h"

#include <chrono>

namespace shmvisor {

void ExpectedCalls::expect(pid_t tid) {
  const std::lock_guard lock(mutex_);
  expected_.insert_or_assign(tid, std::nullopt);
  expected_count_.fetch_add(1);
}

std::optional<std::uint64_t> ExpectedCalls::await(pid_t tid) {
  somebody_receives_();
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, std::chrono::seconds(2), [&] { return expected_[tid].has_value(); });
  const std::optional<std::uint64_t> id = expected_[tid];
  expected_.erase(tid);
  expected_count_.fetch_sub(1);
  return id;
}

bool ExpectedCalls::claim(const seccomp_notif& notif) {
  if (expected_count_.load() == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto found = expected_.find(static_cast<pid_t>(notif.pid));
  if (found == expected_.end()) return false;
  found->second = notif.id;
  arrived_.notify_all();
  return true;
}

}  // namespace shmvisor
