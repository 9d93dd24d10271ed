#include "supervisor/notify/expected_calls.h"

namespace shmvisor {

void ExpectedCalls::expect(pid_t tid) {
  const MutexLock lock(mutex_);
  if (expected_.try_emplace(tid).second) expected_count_.fetch_add(1);
}

std::optional<seccomp_notif> ExpectedCalls::next(pid_t tid, std::chrono::milliseconds bound) {
  somebody_receives_();
  const MutexLock lock(mutex_);
  std::deque<seccomp_notif>& calls = expected_[tid];
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (calls.empty()) {
    if (!arrived_.wait_until(mutex_, deadline) && calls.empty()) return std::nullopt;
  }
  const seccomp_notif notif = calls.front();
  calls.pop_front();
  return notif;
}

void ExpectedCalls::end(pid_t tid) {
  const MutexLock lock(mutex_);
  const auto found = expected_.find(tid);
  if (found == expected_.end()) return;
  given_back_.insert(given_back_.end(), found->second.begin(), found->second.end());
  given_back_count_.fetch_add(static_cast<int>(found->second.size()));
  expected_.erase(found);
  expected_count_.fetch_sub(1);
}

std::optional<std::uint64_t> ExpectedCalls::await(pid_t tid) {
  const auto notif = next(tid, std::chrono::seconds(2));
  end(tid);
  if (!notif) return std::nullopt;
  return notif->id;
}

bool ExpectedCalls::claim(const seccomp_notif& notif) {
  if (expected_count_.load() == 0) return false;
  const MutexLock lock(mutex_);
  const auto found = expected_.find(static_cast<pid_t>(notif.pid));
  if (found == expected_.end()) return false;
  found->second.push_back(notif);
  arrived_.notify_all();
  return true;
}

void ExpectedCalls::give_back(const seccomp_notif& notif) {
  const MutexLock lock(mutex_);
  given_back_.push_back(notif);
  given_back_count_.fetch_add(1);
}

std::optional<seccomp_notif> ExpectedCalls::next_given_back() {
  if (given_back_count_.load() == 0) return std::nullopt;
  const MutexLock lock(mutex_);
  if (given_back_.empty()) return std::nullopt;
  const seccomp_notif notif = given_back_.back();
  given_back_.pop_back();
  given_back_count_.fetch_sub(1);
  return notif;
}

}  // namespace shmvisor
