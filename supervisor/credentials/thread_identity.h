// ThreadIdentity: a thread that called us, recognised when it calls again.
//
// A thread's credentials may change between two calls, and are read anew for each call. Its
// namespaces change only by unshare(2) and setns(2). Our own filter notifies us of these, so under
// it the namespaces are kept from call to call. Another party's filter may not; under it they are
// read anew for each call (6 µs for each namespace that a decision needs). A thread is recognised
// by a pidfd of its own (PIDFD_THREAD, Linux 6.9), which never comes to mean another thread;
// without such a pidfd nothing is kept.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {

/// Inodes of a thread's files in /proc/TID/ns; 0 where we may not look.
struct NamespaceIds {
  std::uint64_t ipc = 0;
  std::uint64_t user = 0;
  std::uint64_t pid = 0;

  static NamespaceIds of_thread(pid_t tid);
  /// Our own.
  static const NamespaceIds& ours();
};

/// How often a thread called from its own call sites while it had the call page.
struct SiteCalls {
  std::atomic<int> attaches{0};
  std::atomic<int> detaches{0};
};

class ThreadIdentity {
 public:
  ThreadIdentity(pid_t tid, UniqueFd pidfd, std::uint64_t unique)
      : tid_(tid), pidfd_(std::move(pidfd)), unique_(unique) {}

  [[nodiscard]] pid_t tid() const { return tid_; }
  /// The inode number of the pidfd, which no two threads share; 0 where the kernel has no such
  /// number.
  [[nodiscard]] std::uint64_t unique() const { return unique_; }
  /// Ids by PIDFD_GET_INFO (Linux 6.13, 0.7 µs); nothing where that is missing or the thread died.
  [[nodiscard]] std::optional<TaskStatus> read_ids(KernelFeatures& features) const;
  /// Inodes of the thread's files in /proc/TID/ns; 0 where we may not look. Each is read at the
  /// first use.
  [[nodiscard]] std::uint64_t ipc_namespace() { return inode_of(NamespaceKind::kIpc); }
  [[nodiscard]] std::uint64_t user_namespace() { return inode_of(NamespaceKind::kUser); }
  [[nodiscard]] std::uint64_t pid_namespace() { return inode_of(NamespaceKind::kPid); }
  /// The creator of the user namespace `inode` that the thread lives in (accountable_user.h).
  /// `look` finds the creator; its answer is kept.
  template <typename Look>
  [[nodiscard]] std::optional<uid_t> namespace_maker(std::uint64_t inode, Look look) {
    {
      const MutexLock lock(mutex_);
      if (namespace_maker_ && namespace_maker_->first == inode) return namespace_maker_->second;
    }
    const std::optional<uid_t> maker = look();
    const MutexLock lock(mutex_);
    if (maker) namespace_maker_.emplace(inode, *maker);
    return maker;
  }
  /// For supervisor/inject (CallPageUse).
  [[nodiscard]] std::atomic<int>& call_page_misses() { return call_page_misses_; }
  [[nodiscard]] SiteCalls& site_calls() { return site_calls_; }
  /// Takes what ThreadIdentities::keep_undo() kept; empty afterwards.
  [[nodiscard]] std::function<void()> take_undo();

 private:
  friend class ThreadIdentities;
  enum class NamespaceKind : std::uint8_t { kIpc, kUser, kPid };

  [[nodiscard]] std::uint64_t inode_of(NamespaceKind kind);
  void forget_namespaces();
  void keep_undo(std::function<void()> undo);

  const pid_t tid_;
  const UniqueFd pidfd_;
  const std::uint64_t unique_;
  Mutex mutex_;
  std::array<std::optional<std::uint64_t>, 3> namespaces_ GUARDED_BY(mutex_);  ///< by kind
  std::uint64_t forgotten_ GUARDED_BY(mutex_) = 0;                             ///< times
  std::optional<std::pair<std::uint64_t, uid_t>> namespace_maker_ GUARDED_BY(mutex_);
  std::function<void()> undo_ GUARDED_BY(mutex_);
  std::atomic<int> call_page_misses_{0};
  SiteCalls site_calls_;
};

/// A thread, and its current ids; no ids where only /proc has them.
struct KnownThread {
  std::shared_ptr<ThreadIdentity> identity;
  std::optional<TaskStatus> ids;
  bool remembered =
      false;  ///< its next call finds the same identity, unless many others call first
};

/// What is kept of threads that called.
enum class Remembered : std::uint8_t {
  kAll,      ///< under a filter of ours
  kThreads,  ///< all but their namespaces, under another party's filter
  kNothing,  ///< as kThreads, where a descriptor for each thread is too much
};

class ThreadIdentities {
 public:
  /// `most`: threads remembered; each costs a descriptor.
  explicit ThreadIdentities(KernelFeatures& features, Remembered remembered = Remembered::kAll,
                            std::size_t most = kMost)
      : features_(features),
        remembered_(remembered),
        most_(std::min(most, remembered == Remembered::kAll ? kMost : kMostOfOthers)) {}

  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kMostOfOthers = 32;

  /// Precondition: the thread waits in a call of ours, so that its tid means it.
  [[nodiscard]] KnownThread of(pid_t tid);
  /// Keeps what undoes the thread's last call, if the thread completes that call itself
  /// (Reply::undo()). The identity that of() finds for the thread's next call has it, also after
  /// kMost other threads have called; of forgotten threads the newest kMostUndos are kept.
  void keep_undo(ThreadIdentity& thread, std::function<void()> undo);
  /// The thread's namespaces may change now. From now on nothing is remembered of its process: a
  /// thread that execs takes over the tid of the first thread, and with it the pidfd (de_thread()
  /// of fs/exec.c), but keeps its own namespaces.
  void namespaces_change(pid_t tid);

 private:
  struct KeptUndo {
    std::uint64_t unique = 0;
    std::function<void()> undo;
  };
  static constexpr std::size_t kMostUndos = 1024;

  [[nodiscard]] std::shared_ptr<ThreadIdentity> make(pid_t tid);
  bool remember(const std::shared_ptr<ThreadIdentity>& identity, pid_t tgid);
  void save_undo(ThreadIdentity& forgotten) REQUIRES(mutex_);
  void give_undo_to(ThreadIdentity& remembered) REQUIRES(mutex_);
  void never_remember(pid_t tgid) REQUIRES(mutex_);

  KernelFeatures& features_;
  const Remembered remembered_;
  const std::size_t most_;
  Mutex mutex_;
  using Order = std::list<std::shared_ptr<ThreadIdentity>>;
  Order recent_first_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, Order::iterator> by_tid_ GUARDED_BY(mutex_);
  std::deque<KeptUndo> undos_ GUARDED_BY(mutex_);  ///< of threads forgotten, oldest first
  std::unordered_set<pid_t> never_remembered_ GUARDED_BY(mutex_);  ///< processes, by tgid
  std::deque<pid_t> to_look_at_
      GUARDED_BY(mutex_);  ///< the same ones, to be forgotten once they ended
};

/// Whether the thread that once had this tid and unique number still lives.
[[nodiscard]] bool thread_lives(pid_t tid, std::uint64_t unique, KernelFeatures& features);

}  // namespace shmvisor
