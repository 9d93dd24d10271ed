#include "supervisor/memory/release_watch.h"

#include <algorithm>
#include <new>
#include <utility>

namespace shmvisor {
namespace {

/// Moves the first one, without memory.
template <typename Element>
void to_the_end(std::list<Element>& list) {
  list.splice(list.end(), list, list.begin());
}

}  // namespace

ReleaseWatch::~ReleaseWatch() {
  for (const auto& [descriptor, file] : files_) events_.remove(descriptor);
}

void ReleaseWatch::add(const FileIdentity& file, const std::string& path) {
  const int descriptor = events_.add(path, *this);
  try {
    const MutexLock lock(mutex_);
    descriptors_.insert_or_assign(file, descriptor);
    try {
      if (descriptor != ReleaseEvents::kUnwatched) {
        files_.insert_or_assign(descriptor, file);
      } else {
        polled_.push_back(file);
        if (++polled_count_ == 1) tell_of_need_();
      }
    } catch (...) {
      descriptors_.erase(file);
      throw;
    }
  } catch (...) {
    events_.remove(descriptor);
    throw;
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

void ReleaseWatch::note(int descriptor) noexcept {
  const MutexLock lock(mutex_);
  if (closed_.empty()) tell_of_need_();
  try {
    note_closed(descriptor, Clock::now());
  } catch (const std::bad_alloc&) {
    missed_events_ = true;
  }
  has_news_.store(true, std::memory_order_release);
}

void ReleaseWatch::note_closed(int descriptor, Clock::time_point when) {
  const auto [entry, is_new] = closed_.try_emplace(descriptor);
  if (is_new) {
    try {
      closed_order_.push_back(descriptor);
    } catch (...) {
      closed_.erase(entry);
      throw;
    }
  }
  Closed& closed = entry->second;
  if (closed.told) ++untold_;
  closed = {when, false};
}

void ReleaseWatch::note_all_missed() {
  if (!missed_events_) return;
  const Clock::time_point now = Clock::now();
  for (const auto& [descriptor, file] : files_) note_closed(descriptor, now);
  missed_events_ = false;
}

std::vector<FileIdentity> ReleaseWatch::take(std::size_t most) {
  events_.pump();
  const MutexLock lock(mutex_);
  note_all_missed();
  std::vector<FileIdentity> released;
  // From here on nothing needs memory, so that what is taken is also answered.
  released.reserve(std::min(most, closed_order_.size() + polled_.size()));
  take_closed(most, released);
  take_polled(most, released);
  has_news_.store(untold_ != 0, std::memory_order_release);
  return released;
}

void ReleaseWatch::take_closed(std::size_t most, std::vector<FileIdentity>& released) {
  const Clock::time_point oldest = Clock::now() - again_for_;
  for (std::size_t left = closed_order_.size(); left != 0 && released.size() < most; --left) {
    const int descriptor = closed_order_.front();
    const auto closed = closed_.find(descriptor);
    if (closed == closed_.end()) {
      closed_order_.pop_front();
      continue;
    }
    // Its event may be one from before remove(), or of a watch that is being added.
    if (const auto file = files_.find(descriptor); file != files_.end()) {
      released.push_back(file->second);
    }
    if (!std::exchange(closed->second.told, true)) --untold_;
    if (closed->second.noted <= oldest) {
      closed_.erase(closed);
      closed_order_.pop_front();
    } else {
      to_the_end(closed_order_);
    }
  }
}

void ReleaseWatch::take_polled(std::size_t most, std::vector<FileIdentity>& released) {
  for (std::size_t left = polled_.size(); left != 0 && released.size() < most; --left) {
    const FileIdentity file = polled_.front();
    const auto watched = descriptors_.find(file);
    if (watched == descriptors_.end() || watched->second != ReleaseEvents::kUnwatched) {
      polled_.pop_front();
      continue;
    }
    released.push_back(file);
    to_the_end(polled_);
  }
}

bool ReleaseWatch::needs_polling() {
  const MutexLock lock(mutex_);
  return !closed_.empty() || polled_count_ != 0;
}

}  // namespace shmvisor
