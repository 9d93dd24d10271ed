#include "supervisor/memory/release_events.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "supervisor/memory/release_watch.h"

namespace shmvisor {

ReleaseEvents::ReleaseEvents(KernelFeatures& features) {
  if (!features.usable(KernelFeature::kInotify)) return;
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) features.mark_absent(KernelFeature::kInotify);
}

int ReleaseEvents::add(const std::string& path, ReleaseWatch& watch) {
  if (!inotify_.valid()) return kUnwatched;
  const MutexLock lock(mutex_);
  const int descriptor = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_CLOSE);
  if (descriptor < 0) return kUnwatched;
  try {
    watches_.insert_or_assign(descriptor, &watch);
  } catch (...) {
    ::inotify_rm_watch(inotify_.get(), descriptor);
    throw;
  }
  return descriptor;
}

void ReleaseEvents::remove(int descriptor) {
  const MutexLock lock(mutex_);
  if (watches_.erase(descriptor) != 0) ::inotify_rm_watch(inotify_.get(), descriptor);
}

void ReleaseEvents::pump() noexcept {
  if (!inotify_.valid()) return;
  const MutexLock lock(mutex_);
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event)) + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [descriptor, watch] : watches_) watch->note(descriptor);
      } else if (const auto found = watches_.find(event.wd); found != watches_.end()) {
        found->second->note(event.wd);
      }
    }
  }
}

}  // namespace shmvisor
