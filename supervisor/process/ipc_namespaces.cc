#include "supervisor/process/ipc_namespaces.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "supervisor/process/accountable_user.h"
#include "supervisor/process/borrowed_identity.h"

namespace shmvisor {
namespace {

using Ids = std::set<IpcNamespaceId>;

/// Takes out of `ids` those that the text names: a descriptor or a mount of a namespace's file
/// shows as "ipc:[4026531839]".
void erase_named(std::string_view text, Ids& ids) {
  constexpr std::string_view kBegin = "ipc:[";
  for (std::size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin)) {
    text.remove_prefix(at + kBegin.size());
    IpcNamespaceId id = 0;
    std::from_chars(text.data(), text.data() + text.size(), id);
    ids.erase(id);
  }
}

/// Takes out of `ids` those that the links in the folder lead to. A process that we may not look
/// into is taken to refer to everything; what is gone meanwhile refers to nothing.
void erase_linked(pid_t pid, const char* folder, const char* file, Ids& ids) {
  const std::string path = proc_path(pid, folder);
  const auto looked = reach(pid, kToRead, [&]() -> Result<void> {
    const auto listing = open_proc_file(pid, folder);
    if (!listing && listing.error() == Errno(EACCES)) return Errno(EACCES);
    for (const int entry : numbered_entries(path)) {
      if (ids.empty()) break;
      std::array<char, 64> target{};
      const ssize_t length = ::readlink((path + "/" + std::to_string(entry) + file).c_str(),
                                        target.data(), target.size());
      if (length < 0 && errno == EACCES) return Errno(EACCES);
      // A path of somebody else's begins otherwise.
      if (length > 0 && target.front() == 'i') {
        erase_named({target.data(), static_cast<std::size_t>(length)}, ids);
      }
    }
    return {};
  });
  if (!looked) ids.clear();
}

/// At a machine where something new begins all the time.
constexpr int kMostLooks = 8;
/// Of not having been seen, where it cannot be known that nobody was missed.
constexpr std::chrono::minutes kLongUnseen(1);

/// The thread that was made last in our pid namespace or one below: the last word of
/// /proc/loadavg. Empty where it cannot be read.
std::string newest_process() {
  UniqueFd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  const ssize_t length = file.valid() ? ::read(file.get(), text.data(), text.size()) : -1;
  if (length <= 0) return {};
  const std::string_view line(text.data(), static_cast<std::size_t>(length));
  const std::size_t blank = line.rfind(' ');
  return std::string(blank == std::string_view::npos ? line : line.substr(blank));
}

}  // namespace

void IpcNamespaces::take_in(const UniqueFd& ipc) {
  const NamespaceOwner owner = ipc.valid() ? NamespaceOwner::of(ipc) : NamespaceOwner::of_ours();
  const std::lock_guard lock(mutex_);
  if (!std::exchange(owner_told_, true)) {
    if (ipc.valid()) owner_file_.reset(::ioctl(ipc.get(), NS_GET_USERNS));
    initial_owner_ = std::make_shared<const NamespaceOwner>(owner);
  } else {
    initial_owner_ = std::make_shared<const NamespaceOwner>(initial_owner_->innermost_above(owner));
  }
}

bool IpcNamespaces::is_initial(ThreadIdentity& thread, IpcHome* home) const {
  const IpcNamespaceId id = thread.ipc_namespace();
  return id == 0 || id == ours_ || (home != nullptr && home->is(id, thread.tid()));
}

Result<OwnedRegistry> IpcNamespaces::of(ThreadIdentity& thread, IpcHome* home,
                                        std::optional<uid_t> real_uid) {
  const bool initial = is_initial(thread, home);
  const std::lock_guard lock(mutex_);
  if (initial) return OwnedRegistry{namespaces_.initial(), initial_owner_};
  const IpcNamespaceId id = thread.ipc_namespace();
  auto held = held_.find(id);
  if (held == held_.end()) {
    auto part = charge(thread, real_uid);
    if (!part) return Errno(ENOMEM);
    auto file = reach_proc_file(thread.tid(), "ns/ipc");
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0 || status.st_ino != id) return Errno(ENOMEM);
    spdlog::debug("IPC namespace {} begins", id);
    auto owner = std::make_shared<const NamespaceOwner>(NamespaceOwner::of(*file));
    held = held_.emplace(id, Held{std::move(*file), std::move(owner), std::move(*part)}).first;
  }
  return OwnedRegistry{namespaces_.of(id), held->second.owner};
}

std::shared_ptr<const NamespaceOwner> IpcNamespaces::owner_of(ThreadIdentity& thread,
                                                              IpcHome* home) {
  const bool initial = is_initial(thread, home);
  {
    const std::lock_guard lock(mutex_);
    if (initial) return initial_owner_;
    const auto held = held_.find(thread.ipc_namespace());
    if (held != held_.end()) return held->second.owner;
  }
  const auto file = reach_proc_file(thread.tid(), "ns/ipc");
  return std::make_shared<const NamespaceOwner>(file ? NamespaceOwner::of(*file)
                                                     : NamespaceOwner());
}

std::optional<DescriptorShare::Part> IpcNamespaces::charge(ThreadIdentity& thread,
                                                           std::optional<uid_t> real_uid) const {
  if (descriptor_share_ == nullptr) return DescriptorShare::Part();
  if (!real_uid) {
    const auto status = TaskStatus::read(thread.tid());
    if (!status) return std::nullopt;
    real_uid = status->uid;
  }
  return descriptor_share_->take(accountable_user(thread, *real_uid));
}

bool IpcNamespaces::need_sweeping() const {
  const std::lock_guard lock(mutex_);
  return !held_.empty();
}

void IpcNamespaces::sweep() {
  Ids unreferred;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, held] : held_) unreferred.insert(id);
  }
  // Callers need the lock, and whoever may open many descriptors makes this long.
  bool certain = false;
  for (int look = 0; look < kMostLooks && !certain && !unreferred.empty(); ++look) {
    const std::string before = newest_process();
    for (const pid_t pid : scope_.processes()) {
      if (unreferred.empty()) break;
      if (pid == getpid()) continue;  // among all that there are, and holds those files itself
      erase_linked(pid, "task", "/ns/ipc", unreferred);
      erase_linked(pid, "fd", "", unreferred);
      if (const auto mounts = read_proc_file(pid, "mountinfo")) erase_named(*mounts, unreferred);
    }
    // A process that forked after we had the list, and ended before we came to it, hid its child.
    certain = !before.empty() && before == newest_process();
  }
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (auto entry = held_.begin(); entry != held_.end();) {
    const auto next = std::next(entry);
    const IpcNamespaceId id = entry->first;
    auto& unseen_since = entry->second.unseen_since;
    if (!unreferred.contains(id)) {
      unseen_since.reset();
    } else {
      if (!unseen_since) unseen_since = now;
      const bool over = certain || now - *unseen_since >= kLongUnseen;
      if (over && namespaces_.forget(id)) {
        spdlog::debug("IPC namespace {} is over", id);
        held_.erase(entry);
      }
    }
    entry = next;
  }
}

}  // namespace shmvisor
