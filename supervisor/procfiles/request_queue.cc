#include "supervisor/procfiles/request_queue.h"

#include <utility>

#include "policy/limits/fair_share.h"

namespace shmvisor {

void RequestQueue::add(Request request) {
  const uid_t of_user = request.user;
  const std::uint64_t handle = request.handle;
  std::list<Request> added;
  added.push_back(std::move(request));
  const auto user = users_.try_emplace(of_user).first;
  if (handle != 0) {
    try {
      ++files_[handle].all;
    } catch (...) {
      if (user->second.all == 0) users_.erase(user);
      throw;
    }
  }
  ++user->second.all;
  user->second.waiting.splice(user->second.waiting.end(), added);
}

RequestQueue::Taken RequestQueue::begin() noexcept {
  auto next = users_.upper_bound(last_user_);
  for (std::size_t looked_at = 0; looked_at < users_.size(); ++looked_at) {
    if (next == users_.end()) next = users_.begin();
    Taken begun = begin_one_of(next->second);
    if (!begun.empty()) {
      last_user_ = next->first;
      return begun;
    }
    ++next;
  }
  return {};
}

RequestQueue::Taken RequestQueue::begin_one_of(User& user) noexcept {
  Taken begun;
  if (!within_fair_share(user.begun, most_at_once_ - begun_)) return begun;
  while (!user.waiting.empty() && !has_file(user.waiting)) {
  }
  if (user.waiting.empty()) return begun;
  begun.splice(begun.end(), user.waiting, user.waiting.begin());
  ++user.begun;
  ++begun_;
  return begun;
}

bool RequestQueue::has_file(std::list<Request>& waiting) noexcept {
  Request& first = waiting.front();
  if (first.handle == 0 || first.has_handle) return true;
  File& file = files_.find(first.handle)->second;
  if (file.taken) {
    file.waiting.splice(file.waiting.end(), waiting, waiting.begin());
    return false;
  }
  file.taken = first.has_handle = true;
  return true;
}

void RequestQueue::end(const Taken& begun) noexcept {
  const Request& request = begun.front();
  --begun_;
  const auto user = users_.find(request.user);
  --user->second.begun;
  if (--user->second.all == 0) users_.erase(user);
  if (request.handle == 0) return;
  const auto found = files_.find(request.handle);
  File& file = found->second;
  --file.all;
  file.taken = !file.waiting.empty();
  if (file.taken) {
    Request& next = file.waiting.front();
    next.has_handle = true;
    auto& its_users = users_.find(next.user)->second.waiting;
    its_users.splice(its_users.begin(), file.waiting, file.waiting.begin());
  } else if (file.all == 0) {
    files_.erase(found);
  }
}

}  // namespace shmvisor
