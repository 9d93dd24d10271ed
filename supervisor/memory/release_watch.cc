#include "supervisor/memory/release_watch.h"

#include <algorithm>

namespace shmvisor {

ReleaseWatch::~ReleaseWatch() {
  for (const Watched& one : watched_) events_.remove(one.descriptor);
}

void ReleaseWatch::add(const FileIdentity& file, const std::string& path) {
  const int descriptor = events_.add(path, *this);
  const std::lock_guard lock(mutex_);
  watched_.push_back({file, descriptor});
}

void ReleaseWatch::remove(const FileIdentity& file) {
  int descriptor = ReleaseEvents::kUnwatched;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(watched_.begin(), watched_.end(),
                                    [&](const Watched& one) { return one.file == file; });
    if (found == watched_.end()) return;
    descriptor = found->descriptor;
    closed_.erase(descriptor);
    watched_.erase(found);
  }
  events_.remove(descriptor);
}

void ReleaseWatch::note(int descriptor) {
  const std::lock_guard lock(mutex_);
  closed_.insert_or_assign(descriptor, Clock::now());
  has_news_.store(true, std::memory_order_release);
}

std::vector<FileIdentity> ReleaseWatch::take() {
  events_.pump();
  const std::lock_guard lock(mutex_);
  has_news_.store(false, std::memory_order_release);
  std::vector<FileIdentity> released;
  for (const Watched& one : watched_) {
    if (one.descriptor == ReleaseEvents::kUnwatched || closed_.contains(one.descriptor)) {
      released.push_back(one.file);
    }
  }
  std::erase_if(closed_, [oldest = Clock::now() - again_for_](const auto& closed) {
    return closed.second <= oldest;
  });
  return released;
}

bool ReleaseWatch::needs_polling() {
  const std::lock_guard lock(mutex_);
  if (!closed_.empty()) return true;
  return std::any_of(watched_.begin(), watched_.end(), [](const Watched& one) {
    return one.descriptor == ReleaseEvents::kUnwatched;
  });
}

}  // namespace shmvisor
