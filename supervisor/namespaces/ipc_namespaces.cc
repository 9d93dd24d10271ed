#include "supervisor/namespaces/ipc_namespaces.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "supervisor/credentials/accountable_user.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/namespaces/namespace_uses.h"

namespace shmvisor {

/// A sweep's share of the machine's time: a fifth, however many descriptors there are.
class IpcNamespaces::Pace {
 public:
  /// A process could not be looked at.
  bool some_unseen = false;

  /// Between two processes, with nothing held.
  void pause_if_due() {
    const auto worked = Clock::now() - since_;
    if (worked < kWork) return;
    std::this_thread::sleep_for(std::min<Clock::duration>(4 * worked, kLongestPause));
    since_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kWork{5};
  static constexpr std::chrono::milliseconds kLongestPause{200};

  Clock::time_point since_ = Clock::now();
};

namespace {

using Ids = NamespaceUses::Ids;

/// At a machine where something new begins all the time. Once more only where that is quick.
constexpr int kMostLooks = 8;
/// Of this many looks none may find a namespace that is over. A process that enters a namespace by
/// a descriptor, and closes that, between the two passes of a look is seen by the next look.
constexpr int kSureLooks = 2;
constexpr std::chrono::milliseconds kQuickLook(50);

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

IpcNamespaces IpcNamespaces::of_command(Registries& namespaces, const ProcessScope& scope,
                                        DescriptorShare& descriptor_share, UniqueFd ipc) {
  const IpcNamespaceId initial = id_of(ipc);
  return {namespaces, scope, initial, &descriptor_share, std::move(ipc)};
}

IpcNamespaceId IpcNamespaces::id_of(const UniqueFd& ipc) {
  return ipc.valid() ? inode_of(ipc) : NamespaceIds::ours().ipc;
}

void IpcNamespaces::take_in(const UniqueFd& ipc) {
  const NamespaceOwner owner = ipc.valid() ? NamespaceOwner::of(ipc) : NamespaceOwner::of_ours();
  const MutexLock lock(mutex_);
  if (!std::exchange(owner_told_, true)) {
    if (ipc.valid()) owner_file_.reset(::ioctl(ipc.get(), NS_GET_USERNS));
    initial_owner_ = std::make_shared<const NamespaceOwner>(owner);
  } else {
    initial_owner_ = std::make_shared<const NamespaceOwner>(initial_owner_->innermost_above(owner));
  }
  if (kept_owner_ == nullptr) return;
  kept_owner_->file.store(owner_file_.get());
  kept_owner_->depth.store(initial_owner_->depth());
  kept_owner_->told.store(true);
}

std::shared_ptr<IpcHome> IpcNamespaces::take_in_joiner(Result<UniqueFd>&& ipc) {
  const UniqueFd none;
  if (initial_ == 0 || initial_is_private()) take_in(ipc ? *ipc : none);
  return ipc && ipc->valid() ? std::make_shared<IpcHome>(std::move(*ipc)) : nullptr;
}

void IpcNamespaces::keep_owner_in(KeptOwner* place) {
  const MutexLock lock(mutex_);
  kept_owner_ = place;
  if (place == nullptr || !place->told.load()) return;
  const bool was_told = std::exchange(owner_told_, true);
  // A private one is the command's, and told from the start.
  if (!was_told && place->file.load() >= 0) {
    owner_file_.reset(place->file.load());
    initial_owner_ = std::make_shared<const NamespaceOwner>(NamespaceOwner::of_user(owner_file_));
  }
  initial_owner_ =
      std::make_shared<const NamespaceOwner>(initial_owner_->at_depth(place->depth.load()));
}

bool IpcNamespaces::is_initial(ThreadIdentity& thread, IpcHome* home) const {
  const IpcNamespaceId id = thread.ipc_namespace();
  return id == 0 || id == initial_ || (home != nullptr && home->is(id, thread.tid()));
}

Result<OwnedRegistry> IpcNamespaces::of(ThreadIdentity& thread, IpcHome* home,
                                        std::optional<uid_t> real_uid) {
  const bool initial = is_initial(thread, home);
  const IpcNamespaceId id = thread.ipc_namespace();
  {
    const MutexLock lock(mutex_);
    if (initial) return OwnedRegistry{namespaces_.initial(), initial_owner_};
    if (const auto held = held_.find(id); held != held_.end()) return registry_of(*held);
  }
  auto made = hold(thread, real_uid);
  if (!made) return made.error();
  // Of several threads that were the first at the same time one enters what it has, and the others
  // give theirs back, after the lock.
  std::pair<const IpcNamespaceId, Held> entry(id, std::move(*made));
  const MutexLock lock(mutex_);
  auto held = held_.find(id);
  if (held == held_.end()) {
    if (held_.empty()) tell_of_need_();
    held = held_.emplace(id, std::move(entry.second)).first;
  }
  return registry_of(*held);
}

Result<OwnedRegistry> IpcNamespaces::registry_of(std::pair<const IpcNamespaceId, Held>& held) {
  if (held.second.open_question) return Errno(ENOMEM);
  ++held.second.asked;
  return OwnedRegistry{namespaces_.of(held.first), held.second.owner, held.first};
}

Result<IpcNamespaces::Held> IpcNamespaces::hold(ThreadIdentity& thread,
                                                std::optional<uid_t> real_uid) {
  const IpcNamespaceId id = thread.ipc_namespace();
  auto part = charge(thread, real_uid);
  if (!part) return Errno(ENOMEM);
  auto file = open_namespace(thread.tid(), Namespace::kIpc);
  struct stat status {};
  if (!file) {
    if (!told_of_descriptors_.test_and_set()) {
      spdlog::warn("IPC namespace {} cannot be held: errno {}; raise RLIMIT_NOFILE (ulimit -n)", id,
                   file.error().value());
    }
    return Errno(ENOMEM);
  }
  // Another thread has the tid now, or this one has gone on: it no longer waits for us.
  if (::fstat(file->get(), &status) != 0 || status.st_ino != id) return Errno(ENOMEM);
  spdlog::debug("IPC namespace {} begins", id);
  auto owner = std::make_shared<const NamespaceOwner>(NamespaceOwner::of(*file));
  Held held{std::move(*file), std::move(owner), std::move(*part)};
  held.keep();
  return held;
}

bool IpcNamespaces::take_back(IpcNamespaceId id, UniqueFd&& file) {
  // A server that was out of descriptors may have died with this one (NamespaceQuestion).
  if ((::fcntl(file.get(), F_GETFL) & O_PATH) != 0) {
    file.reset(::open(descriptor_path(file).c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (::ioctl(file.get(), NS_GET_NSTYPE) != CLONE_NEWIPC || inode_of(file) != id) return false;
  auto owner = std::make_shared<const NamespaceOwner>(NamespaceOwner::of(file));
  Held held{std::move(file), std::move(owner), DescriptorShare::Part()};
  held.keep();
  const MutexLock lock(mutex_);
  if (held_.empty()) tell_of_need_();
  held_.emplace(id, std::move(held));
  return true;
}

std::shared_ptr<const NamespaceOwner> IpcNamespaces::owner_of(ThreadIdentity& thread,
                                                              IpcHome* home) {
  const bool initial = is_initial(thread, home);
  {
    const MutexLock lock(mutex_);
    if (initial) return initial_owner_;
    const auto held = held_.find(thread.ipc_namespace());
    if (held != held_.end() && !held->second.open_question) return held->second.owner;
  }
  const auto file = open_namespace(thread.tid(), Namespace::kIpc);
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

void IpcNamespaces::left(const CreatorThread& thread, IpcNamespaceId former) {
  namespaces_.disown(thread);
  const MutexLock lock(mutex_);
  if (held_.contains(former) && !has_left_.exchange(true)) tell_of_need_();
}

bool IpcNamespaces::need_sweeping() const {
  const MutexLock lock(mutex_);
  return !held_.empty();
}

/// False where the sweep shall end, and nothing is known.
bool IpcNamespaces::look_for(Ids& unreferred, Pace& pace) const {
  const Result<std::vector<pid_t>> pids = scope_.processes();
  if (!pids) return false;
  NamespaceUses uses(reinterpret_cast<std::uintptr_t>(this));
  using Where = NamespaceUses::Where;
  // Most namespaces have a process that lives there, which is soon found.
  for (const Where where : {Where::kThreads, Where::kFilesAndMounts}) {
    for (const pid_t pid : *pids) {
      if (unreferred.empty()) return true;
      if (stopping_.load()) return false;
      if (pid == getpid()) continue;  // among all that there are, and holds those files itself
      const auto outcome = uses.look_at(pid, where, unreferred);
      if (outcome == NamespaceUses::Outcome::kShortage) return false;
      if (outcome == NamespaceUses::Outcome::kNotSeen) {
        // It may live in any of them, for as long as it likes (kernels before Linux 6.11).
        if (where == Where::kThreads) return false;
        pace.some_unseen = true;
      }
      pace.pause_if_due();
    }
  }
  return true;
}

void IpcNamespaces::sweep() {
  has_left_.store(false);
  ask_open_questions();
  Ids unreferred;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, held] : held_) unreferred.insert(id);
  }
  // Callers need the lock, and a process with many descriptors makes this long.
  Pace pace;
  int sure_looks = 0;
  for (int look = 0; look < kMostLooks && sure_looks < kSureLooks && !unreferred.empty(); ++look) {
    const auto began = std::chrono::steady_clock::now();
    const std::string before = newest_process();
    if (!look_for(unreferred, pace)) return;
    // A process that forked after we had the list, and ended before we came to it, hid its child.
    const bool sure = !before.empty() && before == newest_process() && !pace.some_unseen;
    sure_looks = sure ? sure_looks + 1 : 0;
    if (!sure && std::chrono::steady_clock::now() - began > kQuickLook) break;
  }
  std::erase_if(unreferred, [&](IpcNamespaceId id) {
    pace.pause_if_due();
    return stopping_.load() || ask_kernel(id);
  });
  forget(find_over(unreferred, sure_looks == kSureLooks));
}

void IpcNamespaces::ask_open_questions() {
  Ids open;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, held] : held_) {
      if (held.open_question) open.insert(id);
    }
  }
  for (const IpcNamespaceId id : open) ask_kernel(id);
}

bool IpcNamespaces::ask_kernel(IpcNamespaceId id) {
  bool is_open = false;
  int file = -1;
  {
    const MutexLock lock(mutex_);
    const auto held = held_.find(id);
    if (held == held_.end()) return true;
    file = held->second.file.get();
    is_open = held->second.open_question.has_value();
  }
  // Its mappings hold a namespace as well.
  const auto registry = namespaces_.find(id);
  if (!is_open && registry != nullptr && registry->anything_mapped()) return true;
  // Others only look for an entry: it, and its descriptor, stay until this thread takes them out.
  std::optional<NamespaceQuestion> question;
  if (!is_open) question = NamespaceQuestion::of(file, features_);
  if (!is_open && !question) return false;
  // Its segments' memory, and what is left of the entry, end after the lock.
  std::shared_ptr<Registry> taken;
  decltype(held_)::node_type ended;
  using Answer = NamespaceQuestion::Answer;
  auto answer = Answer::kLives;
  {
    const MutexLock lock(mutex_);
    const auto held = held_.find(id);
    if (held == held_.end()) return true;
    if (is_open) question.swap(held->second.open_question);
    answer = is_open ? question->ask_again() : question->ask();
    held->second.unseen_since.reset();
    if (answer == Answer::kNotHeld) question.swap(held->second.open_question);
    if (answer == Answer::kGone) {
      taken = namespaces_.take(id);
      ended = held_.extract(held);
      // A namespace that begins now may have its number.
      if (taken != nullptr) taken->unobserve();
    }
  }
  if (answer == Answer::kLives) question->open_in_full();
  if (answer == Answer::kGone) spdlog::debug("IPC namespace {} is over", id);
  return true;
}

std::vector<IpcNamespaces::Over> IpcNamespaces::find_over(const Ids& unreferred, bool certain) {
  const auto now = std::chrono::steady_clock::now();
  std::vector<Over> over;
  const MutexLock lock(mutex_);
  over.reserve(unreferred.size());
  for (auto& [id, held] : held_) {
    if (!unreferred.contains(id)) {
      held.unseen_since.reset();
      continue;
    }
    if (!held.unseen_since) held.unseen_since = now;
    if (certain || now - *held.unseen_since >= long_unseen_) over.push_back({id, held.asked});
  }
  return over;
}

void IpcNamespaces::forget(const std::vector<Over>& over) {
  for (const auto& [id, asked] : over) {
    // The kernel is asked for each of its segments.
    const auto registry = namespaces_.find(id);
    if (registry != nullptr && registry->anything_mapped()) continue;
    // They end, with their memory and the kernel's namespace, after the lock.
    std::shared_ptr<Registry> taken;
    decltype(held_)::node_type ended;
    {
      const MutexLock lock(mutex_);
      const auto held = held_.find(id);
      if (held == held_.end() || held->second.asked != asked) continue;
      taken = namespaces_.take(id);
      ended = held_.extract(held);
    }
    // Before the kernel's namespace ends, whose number may be another's at once.
    if (taken != nullptr) taken->unobserve();
    spdlog::debug("IPC namespace {} is over", id);
  }
}

}  // namespace shmvisor
