#include "supervisor/procfiles/open_files.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace shmvisor {

Result<std::uint64_t> OpenFiles::add(uid_t user, std::unique_ptr<OpenFile> file) {
  auto entry = std::make_shared<Entry>();
  entry->user = user;
  entry->file = std::move(file);
  const std::lock_guard lock(mutex_);
  const auto known = of_user_.find(user);
  const std::size_t has = known == of_user_.end() ? 0 : known->second;
  if (has >= kMost - entries_.size()) {
    if (!std::exchange(told_, true)) {
      spdlog::warn("user {} has {} files of /proc open and gets no more: ENFILE", user, has);
    }
    return Errno(ENFILE);
  }
  entries_.emplace(last_handle_ + 1, std::move(entry));
  try {
    ++of_user_[user];
  } catch (...) {
    entries_.erase(last_handle_ + 1);
    throw;
  }
  return ++last_handle_;
}

void OpenFiles::remove(std::uint64_t handle) {
  std::shared_ptr<Entry> gone;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(handle);
  if (found == entries_.end()) return;
  gone = std::move(found->second);
  entries_.erase(found);
  const auto of_user = of_user_.find(gone->user);
  if (--of_user->second == 0) of_user_.erase(of_user);
}

std::shared_ptr<OpenFiles::Entry> OpenFiles::find(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(handle);
  return found == entries_.end() ? nullptr : found->second;
}

}  // namespace shmvisor
