#include "supervisor/namespaces/namespace_uses.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/base/shortage.h"
#include "supervisor/attaches/own_thread.h"
#include "supervisor/attaches/thread_payer.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

using Ids = NamespaceUses::Ids;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kThreadPatience(500);
constexpr std::chrono::milliseconds kBetweenGlances(20);
/// Of which the thread waits at each, in a row: half a second.
constexpr int kMostGlances = 25;

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

/// Whether the process, or its file, is there all the same: one that we may not look into, or
/// cannot for want of descriptors or memory, is taken to refer to everything.
bool may_refer(Errno error) { return error == Errno(EACCES) || is_shortage(error); }

/// What is gone meanwhile refers to nothing. False where `open` cannot tell of threads
/// (EOPNOTSUPP).
template <typename Open>
bool erase_homes(pid_t pid, Ids& ids, Open open) {
  const std::string path = proc_path(pid, "task");
  // `open` borrows the identity itself, which does not nest.
  const auto tids = with_identity_of(pid, kToRead, [&] { return numbered_entries(path); });
  if (!tids && may_refer(tids.error())) ids.clear();
  if (!tids) return true;
  for (const int tid : *tids) {
    if (ids.empty()) return true;
    const Result<UniqueFd> file = open(tid);
    if (file) {
      ids.erase(inode_of(*file));
    } else if (file.error() == Errno(EOPNOTSUPP)) {
      return false;
    } else if (may_refer(file.error())) {
      ids.clear();
    }
  }
  return true;
}

/// By pidfds, which tell at once, also of a process in the middle of an exec. False where the
/// kernel does not have them.
bool erase_homes_at_once(pid_t pid, Ids& ids) {
  return erase_homes(pid, ids, [](pid_t tid) {
    return with_identity_of(tid, kToRead,
                            [tid] { return open_namespace_by_pidfd(tid, Namespace::kIpc); });
  });
}

/// Takes out of `ids` those that the text of the link names.
Errno erase_linked(const std::string& path, Ids& ids) {
  std::array<char, 64> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return Errno::current();
  // The links of other kinds of files begin otherwise.
  if (length > 0 && target.front() == 'i') {
    erase_named({target.data(), static_cast<std::size_t>(length)}, ids);
  }
  return Errno(0);
}

void erase_files(pid_t pid, Ids& ids) {
  const std::string path = proc_path(pid, "fd");
  const auto looked = with_identity_of(pid, kToRead, [&]() -> Result<void> {
    const auto entries = numbered_entries(path);
    if (!entries) {
      return may_refer(entries.error()) ? Result<void>(entries.error()) : Result<void>();
    }
    for (const int entry : *entries) {
      if (ids.empty()) break;
      const Errno error = erase_linked(path + "/" + std::to_string(entry), ids);
      if (may_refer(error)) return error;
    }
    return {};
  });
  if (!looked) ids.clear();
}

/// Which mounts a process sees: those of its mount namespace, by inode, below its root. The root is
/// told by the text of its link, without a request to a file system.
using Sight = std::pair<std::uint64_t, std::string>;

std::optional<Sight> sight_of(pid_t pid) {
  const std::uint64_t mounts = namespace_inode(pid, Namespace::kMount);
  std::array<char, 256> root{};
  const ssize_t length = ::readlink(proc_path(pid, "root").c_str(), root.data(), root.size());
  const auto size = static_cast<std::size_t>(length);
  if (mounts == 0 || length <= 0 || size == root.size()) return std::nullopt;
  return Sight{mounts, std::string(root.data(), size)};
}

/// Whether what the process showed of its mounts goes for others with that sight. A process may
/// change its root between two looks at it, so as to hide another user's mounts. One of root's or
/// of our own user's has no need to.
bool shows_for_all(pid_t pid, const Sight& sight) {
  const auto status = TaskStatus::read(pid);
  return status && (status->uid == 0 || status->uid == ::geteuid()) && sight_of(pid) == sight;
}

}  // namespace

/// Sights whose mounts were read.
struct NamespaceUses::SeenMounts {
  Mutex mutex;
  std::set<Sight> sights GUARDED_BY(mutex);

  bool has(const Sight& sight) {
    const MutexLock lock(mutex);
    return sights.contains(sight);
  }
  void add(const Sight& sight) {
    const MutexLock lock(mutex);
    sights.insert(sight);
  }
};

/// What the look's thread and the asking thread share.
class NamespaceUses::Look {
 public:
  Look(pid_t pid, Where where, Ids ids, std::shared_ptr<SeenMounts> mounts,
       const LosableThreads::Payer& payer)
      : pid_(pid), where_(where), mounts_(std::move(mounts)), payer_(payer), ids_(std::move(ids)) {}

  void run() noexcept {
    {
      const MutexLock lock(mutex_);
      tid_ = gettid();
    }
    bool seen = false;
    Ids ids;
    try {
      ids = ids_;  // which the asking thread does not touch until the end
      seen = look(ids);
    } catch (const std::bad_alloc&) {
    }
    const MutexLock lock(mutex_);
    ids_.swap(ids);
    outcome_ = seen ? Outcome::kSeen : Outcome::kShortage;
    if (late_) LosableThreads::all().come_back(payer_);
    ended_.notify_all();
  }

  /// kNotSeen where it is given up.
  Outcome wait(Ids& ids) {
    const MutexLock lock(mutex_);
    for (int blocked = 0; !outcome_;) {
      if (ended_.wait_until(mutex_, Clock::now() + kBetweenGlances) || outcome_) continue;
      blocked = tid_ != 0 && is_blocked(tid_) ? blocked + 1 : 0;
      if (blocked < kMostGlances) continue;
      late_ = true;
      LosableThreads::all().lose(payer_);
      return Outcome::kNotSeen;
    }
    if (*outcome_ == Outcome::kSeen) ids.swap(ids_);
    return *outcome_;
  }

 private:
  /// False for want of means.
  bool look(Ids& ids) {
    if (where_ == Where::kThreads) {
      return erase_homes(pid_, ids, [](pid_t tid) { return open_namespace(tid, Namespace::kIpc); });
    }
    erase_files(pid_, ids);
    const auto sight = sight_of(pid_);
    if (sight && mounts_->has(*sight)) return true;
    const auto mounts = read_proc_file(pid_, "mountinfo");
    if (mounts) erase_named(*mounts, ids);
    if (mounts && sight && shows_for_all(pid_, *sight)) mounts_->add(*sight);
    return mounts || !is_shortage(mounts.error());
  }

  const pid_t pid_;
  const Where where_;
  const std::shared_ptr<SeenMounts> mounts_;
  const LosableThreads::Payer payer_;
  Mutex mutex_;
  Condition ended_;
  pid_t tid_ GUARDED_BY(mutex_) = 0;
  bool late_ GUARDED_BY(mutex_) = false;
  std::optional<Outcome> outcome_ GUARDED_BY(mutex_);
  Ids ids_;
};

namespace {

/// Processes that keep a thread, of all who look.
class Keepers {
 public:
  void add(pid_t pid, std::weak_ptr<void> look) {
    const MutexLock lock(mutex_);
    looks_[pid] = std::move(look);
  }
  bool has(pid_t pid) {
    const MutexLock lock(mutex_);
    std::erase_if(looks_, [](const auto& one) { return one.second.expired(); });
    return looks_.contains(pid);
  }

 private:
  Mutex mutex_;
  std::map<pid_t, std::weak_ptr<void>> looks_ GUARDED_BY(mutex_);
};

Keepers& keepers() {
  static Keepers* const all = new Keepers;  // NOLINT: never destroyed
  return *all;
}

}  // namespace

NamespaceUses::NamespaceUses(std::uintptr_t group)
    : group_(group), mounts_(std::make_shared<SeenMounts>()) {}

NamespaceUses::Outcome NamespaceUses::look_at(pid_t pid, Where where, Ids& ids) {
  // Whether it keeps threads of ours elsewhere is nothing to this.
  if (where == Where::kThreads && erase_homes_at_once(pid, ids)) return Outcome::kSeen;
  const auto payer = payer_of(group_, pid);
  if (keepers().has(pid) || !LosableThreads::all().may_lose(payer)) return Outcome::kNotSeen;
  const auto look = std::make_shared<Look>(pid, where, ids, mounts_, payer);
  // Nobody waits for a sweep: the reserve is for counts.
  if (!LosableThreads::all().run([look] { look->run(); }, kThreadPatience,
                                 LosableThreads::Reserve::kIsForOthers)) {
    return Outcome::kShortage;
  }
  const Outcome outcome = look->wait(ids);
  if (outcome == Outcome::kNotSeen) keepers().add(pid, look);
  return outcome;
}

}  // namespace shmvisor
