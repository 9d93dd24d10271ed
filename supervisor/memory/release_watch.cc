#include "supervisor/memory/release_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace shmvisor {

ReleaseWatch::ReleaseWatch(KernelFeatures& features) {
  if (!features.usable(KernelFeature::kInotify)) return;
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) features.absent(KernelFeature::kInotify);
}

void ReleaseWatch::add(const FileIdentity& file, const std::string& path) {
  const std::lock_guard lock(mutex_);
  int descriptor = kUnwatched;
  if (inotify_.valid()) descriptor = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_CLOSE);
  watched_.push_back({file, descriptor});
}

void ReleaseWatch::remove(const FileIdentity& file) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(watched_.begin(), watched_.end(),
                                  [&](const Watched& one) { return one.file == file; });
  if (found == watched_.end()) return;
  if (found->descriptor != kUnwatched) ::inotify_rm_watch(inotify_.get(), found->descriptor);
  watched_.erase(found);
}

std::vector<FileIdentity> ReleaseWatch::take() {
  const std::lock_guard lock(mutex_);
  std::vector<int> closed;
  bool overflow = false;
  alignas(inotify_event) std::array<char, 4096> buffer;
  while (inotify_.valid()) {
    const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event)) + event.len;
      overflow |= (event.mask & IN_Q_OVERFLOW) != 0;
      closed.push_back(event.wd);
    }
  }
  std::vector<FileIdentity> released;
  for (const Watched& one : watched_) {
    const bool named = std::find(closed.begin(), closed.end(), one.descriptor) != closed.end();
    if (overflow || named || one.descriptor == kUnwatched) released.push_back(one.file);
  }
  return released;
}

bool ReleaseWatch::needs_polling() {
  const std::lock_guard lock(mutex_);
  return std::any_of(watched_.begin(), watched_.end(),
                     [](const Watched& one) { return one.descriptor == kUnwatched; });
}

}  // namespace shmvisor
