#include "supervisor/procfiles/open_files.h"

#include <utility>

namespace shmvisor {

OpenFiles::~OpenFiles() {
  for (const auto& [handle, entry] : entries_) shares_->give_back(entry->user);
}

Result<std::uint64_t> OpenFiles::add(uid_t user, std::unique_ptr<OpenFile> file) {
  auto entry = std::make_shared<Entry>();
  entry->user = user;
  entry->file = std::move(file);
  if (!shares_->take(user)) return Errno(ENFILE);
  const MutexLock lock(mutex_);
  try {
    entries_.emplace(last_handle_ + 1, std::move(entry));
  } catch (...) {
    shares_->give_back(user);
    throw;
  }
  return ++last_handle_;
}

void OpenFiles::begin_at(std::uint64_t handle) {
  const MutexLock lock(mutex_);
  first_handle_ = last_handle_ = handle;
}

void OpenFiles::revive(std::uint64_t handle, uid_t user,
                       const std::function<std::unique_ptr<OpenFile>()>& open) {
  if (find(handle) != nullptr) return;
  auto entry = std::make_shared<Entry>();
  entry->user = user;
  entry->file = open();
  // Its user had a share of the process before, which counted the same.
  if (entry->file == nullptr || !shares_->take(user)) return;
  const MutexLock lock(mutex_);
  bool added = false;
  try {
    added = entries_.emplace(handle, std::move(entry)).second;
  } catch (...) {
    shares_->give_back(user);
    throw;
  }
  if (!added) shares_->give_back(user);  // another thread was first
}

void OpenFiles::remove(std::uint64_t handle) {
  std::shared_ptr<Entry> gone;  // destroyed after the lock is released
  const MutexLock lock(mutex_);
  const auto found = entries_.find(handle);
  if (found == entries_.end()) return;
  gone = std::move(found->second);
  entries_.erase(found);
  shares_->give_back(gone->user);
}

std::shared_ptr<OpenFiles::Entry> OpenFiles::find(std::uint64_t handle) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(handle);
  return found == entries_.end() ? nullptr : found->second;
}

}  // namespace shmvisor
