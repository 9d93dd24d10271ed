#include "supervisor/process/ipc_namespaces.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "supervisor/process/borrowed_identity.h"

namespace shmvisor {
namespace {

/// What a descriptor or a mount of the namespace's file shows.
std::string file_name(IpcNamespaceId id) { return "ipc:[" + std::to_string(id) + "]"; }

/// EACCES where we may not look; whatever is gone meanwhile links to nothing.
Result<bool> links_to(const std::string& path, const std::string& name) {
  std::array<char, 64> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return errno == EACCES ? Result<bool>(Errno(EACCES)) : Result<bool>(false);
  return std::string_view(target.data(), static_cast<std::size_t>(length)) == name;
}

/// A process that we may not look into is taken to refer to everything.
bool any_entry_links_to(pid_t pid, const char* folder, const char* file, const std::string& name) {
  const std::string path = proc_path(pid, folder);
  const auto found = reach(pid, kToRead, [&]() -> Result<bool> {
    const auto listing = open_proc_file(pid, folder);
    if (!listing && listing.error() == Errno(EACCES)) return Errno(EACCES);
    for (const int entry : numbered_entries(path)) {
      const auto links = links_to(path + "/" + std::to_string(entry) + file, name);
      if (!links || *links) return links;
    }
    return false;
  });
  return !found || *found;
}

}  // namespace

std::shared_ptr<Registry> IpcNamespaces::of(ThreadIdentity& thread) {
  const IpcNamespaceId id = thread.namespaces().ipc;
  if (id == 0 || id == ours_) return namespaces_.initial();
  const std::lock_guard lock(mutex_);
  if (ours_ == 0) {
    if (initial_.empty()) hold_initial(thread.tid());
    if (initial_.contains(id)) return namespaces_.initial();
  }
  if (!held_.contains(id)) {
    auto file = reach_proc_file(thread.tid(), "ns/ipc");
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0 || status.st_ino != id) return nullptr;
    spdlog::debug("IPC namespace {} begins", id);
    held_.emplace(id, std::move(*file));
  }
  return namespaces_.of(id);
}

IpcNamespaceId IpcNamespaces::add_initial(pid_t tid) {
  const std::lock_guard lock(mutex_);
  return hold_initial(tid);
}

void IpcNamespaces::remove_initial(IpcNamespaceId id) {
  const std::lock_guard lock(mutex_);
  initial_.erase(id);
}

IpcNamespaceId IpcNamespaces::hold_initial(pid_t tid) {
  UniqueFd file(::open(proc_path(tid, "ns/ipc").c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return 0;
  initial_.try_emplace(status.st_ino, std::move(file));
  return status.st_ino;
}

bool IpcNamespaces::need_sweeping() const {
  const std::lock_guard lock(mutex_);
  return !held_.empty();
}

void IpcNamespaces::sweep() {
  const std::lock_guard lock(mutex_);
  for (auto held = held_.begin(); held != held_.end();) {
    if (referred_to(held->first) || !namespaces_.forget(held->first)) {
      ++held;
      continue;
    }
    spdlog::debug("IPC namespace {} is over", held->first);
    held = held_.erase(held);
  }
}

bool IpcNamespaces::referred_to(IpcNamespaceId id) const {
  const std::string name = file_name(id);
  const auto pids = scope_.processes();
  return std::any_of(pids.begin(), pids.end(), [&](pid_t pid) {
    if (any_entry_links_to(pid, "task", "/ns/ipc", name)) return true;
    if (any_entry_links_to(pid, "fd", "", name)) return true;
    const auto mounts = read_proc_file(pid, "mountinfo");
    return mounts && mounts->find(name) != std::string::npos;
  });
}

}  // namespace shmvisor
