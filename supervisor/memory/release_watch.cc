#include "supervisor/memory/release_watch.h"

#include <utility>

namespace shmvisor {

ReleaseWatch::~ReleaseWatch() {
  for (const auto& [descriptor, file] : files_) events_.remove(descriptor);
}

void ReleaseWatch::add(const FileIdentity& file, const std::string& path) {
  const int descriptor = events_.add(path, *this);
  const MutexLock lock(mutex_);
  descriptors_.insert_or_assign(file, descriptor);
  if (descriptor != ReleaseEvents::kUnwatched) {
    files_.insert_or_assign(descriptor, file);
  } else {
    polled_.push_back(file);
    if (++polled_count_ == 1) tell_of_need_();
  }
}

void ReleaseWatch::remove(const FileIdentity& file) {
  int descriptor = ReleaseEvents::kUnwatched;
  {
    const MutexLock lock(mutex_);
    const auto found = descriptors_.find(file);
    if (found == descriptors_.end()) return;
    descriptor = found->second;
    descriptors_.erase(found);
    if (descriptor == ReleaseEvents::kUnwatched) {
      if (--polled_count_ == 0) polled_.clear();
      return;
    }
    const auto closed = closed_.find(descriptor);
    if (closed != closed_.end()) {
      if (!closed->second.told) --untold_;
      closed_.erase(closed);
    }
    if (closed_.empty()) closed_order_.clear();
    files_.erase(descriptor);
  }
  events_.remove(descriptor);
}

void ReleaseWatch::note(int descriptor) {
  const MutexLock lock(mutex_);
  if (closed_.empty()) tell_of_need_();
  const auto [entry, is_new] = closed_.try_emplace(descriptor);
  Closed& closed = entry->second;
  if (is_new) closed_order_.push_back(descriptor);
  if (closed.told) ++untold_;
  closed = {Clock::now(), false};
  has_news_.store(true, std::memory_order_release);
}

std::vector<FileIdentity> ReleaseWatch::take(std::size_t most) {
  events_.pump();
  const MutexLock lock(mutex_);
  std::vector<FileIdentity> released;
  take_closed(most, released);
  take_polled(most, released);
  has_news_.store(untold_ != 0, std::memory_order_release);
  return released;
}

void ReleaseWatch::take_closed(std::size_t most, std::vector<FileIdentity>& released) {
  const Clock::time_point oldest = Clock::now() - again_for_;
  for (std::size_t left = closed_order_.size(); left != 0 && released.size() < most; --left) {
    const int descriptor = closed_order_.front();
    closed_order_.pop_front();
    const auto closed = closed_.find(descriptor);
    if (closed == closed_.end()) continue;
    // Its event may be one from before remove(), or of a watch that is being added.
    if (const auto file = files_.find(descriptor); file != files_.end()) {
      released.push_back(file->second);
    }
    if (!std::exchange(closed->second.told, true)) --untold_;
    if (closed->second.noted <= oldest) {
      closed_.erase(closed);
    } else {
      closed_order_.push_back(descriptor);
    }
  }
}

void ReleaseWatch::take_polled(std::size_t most, std::vector<FileIdentity>& released) {
  for (std::size_t left = polled_.size(); left != 0 && released.size() < most; --left) {
    const FileIdentity file = polled_.front();
    polled_.pop_front();
    const auto watched = descriptors_.find(file);
    if (watched == descriptors_.end() || watched->second != ReleaseEvents::kUnwatched) continue;
    released.push_back(file);
    polled_.push_back(file);
  }
}

bool ReleaseWatch::needs_polling() {
  const MutexLock lock(mutex_);
  return !closed_.empty() || polled_count_ != 0;
}

}  // namespace shmvisor
