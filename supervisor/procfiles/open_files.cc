#include "supervisor/procfiles/open_files.h"

#include <utility>

namespace shmvisor {
namespace {

/// IPC_NS_INIT_INO of include/uapi/linux/nsfs.h; those of others follow, PROC_DYNAMIC_FIRST of
/// fs/proc/generic.c.
constexpr IpcNamespaceId kFirstNamespace = 0xefffffff;
constexpr IpcNamespaceId kLastNamespace = 0xffffffff;

}  // namespace

OpenFiles::~OpenFiles() {
  for (const auto& [handle, entry] : entries_) shares_->give_back(entry->user);
}

std::uint32_t OpenFiles::mark_for(IpcNamespaceId ipc_namespace) {
  if (ipc_namespace == 0) return 0;
  if (ipc_namespace < kFirstNamespace || ipc_namespace > kLastNamespace) return kNoMark;
  return static_cast<std::uint32_t>(ipc_namespace - kFirstNamespace + 1);
}

Result<std::uint64_t> OpenFiles::add(uid_t user, std::unique_ptr<OpenFile> file,
                                     std::uint32_t mark) {
  auto entry = std::make_shared<Entry>();
  entry->user = user;
  entry->file = std::move(file);
  if (!shares_->take(user)) return Errno(ENFILE);
  const MutexLock lock(mutex_);
  try {
    for (;;) {
      const std::uint64_t number = ++*last_ % kNumbers;
      const std::uint64_t handle = std::uint64_t{mark} << kNumberBits | number;
      if (number == 0 || !entries_.try_emplace(handle, entry).second) continue;
      return handle;
    }
  } catch (...) {
    shares_->give_back(user);
    throw;
  }
}

void OpenFiles::number_by(std::atomic<std::uint64_t>& last) {
  last_ = &last;
  last_of_others_ = last.load();
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
