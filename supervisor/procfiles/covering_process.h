// CoveringProcess: a child process that mounts our files over kernel.shm* of an IPC namespace
// (SysctlCovers).
//
// It enters a mount namespace, takes our files from where they are mounted, enters the IPC
// namespace, and mounts them there. Somebody may have mounted a file system there that he serves
// himself and that never answers. So no request goes to a file system there: /proc is found in the
// kernel's cache (RESOLVE_CACHED) or not at all, must be procfs as our own /proc shows the mount,
// and no step below it leads into another mount (RESOLVE_NO_XDEV). A child that still takes too
// long is killed.
//
// A process, since a namespace is entered with the working folder and the root, which our threads
// share. It has descriptors of its own, and our memory, so that nothing is copied for it: a copy
// keeps all our threads from their page faults. The thread that made it sleeps until it has ended
// or is killed (CLONE_VFORK), so that the two share what is the thread's own, as errno. A
// child that enters a user namespace has a copy of our memory all the same: whoever has
// CAP_SYS_PTRACE in there may trace it.
//
// Ownership: shared by the thread that waits and the thread in run(), which may be lost. Thread
// rule: run() by one thread, all else by another.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/procfiles/cover_shares.h"
#include "supervisor/procfiles/proc_file_list.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

class CoveringProcess {
 public:
  /// All but the table, which is one file for all namespaces.
  static constexpr std::size_t kMostMounts = kProcFiles.size() - 1;
  static constexpr std::size_t kMostCovers = 2 * CoverShares::kMostOfUser;

  struct Places {
    UniqueFd user;  ///< invalid: ours
    UniqueFd mounts;
    UniqueFd ipc;
    UniqueFd own_proc;  ///< /proc as we know it
  };
  /// What the child tells.
  struct Report {
    bool refused = false;                   ///< the user, or the mount namespace, has its share
    std::size_t covered = 0;                ///< files, by it or before
    std::array<bool, kMostCovers> found{};  ///< of the user's covers
    std::array<long, kMostMounts> made{};   ///< ids of new mounts
    std::size_t made_count = 0;
  };

  /// `covers`: the user's that are known; those beyond kMostCovers are not looked for. `payer`: of
  /// the thread in run(). Null where there is no memory.
  static std::shared_ptr<CoveringProcess> make(Places places, CoverShares::Bounds bounds,
                                               std::vector<long> covers,
                                               const LosableThreads::Payer& payer);
  CoveringProcess(const CoveringProcess&) = delete;
  CoveringProcess& operator=(const CoveringProcess&) = delete;
  ~CoveringProcess();

  /// Makes the child, and returns when it has ended. There is none where it was given up before.
  void run() noexcept;
  [[nodiscard]] const LosableThreads::Payer& payer() const { return payer_; }
  /// Its exit status, which is an errno or 0. Nothing where it is given up now: it is killed, and
  /// the thread counts as lost until it comes back.
  std::optional<int> wait(std::chrono::milliseconds bound);
  /// Precondition: wait() has answered something.
  [[nodiscard]] const Report& report() const;
  [[nodiscard]] const std::vector<long>& covers() const { return covers_; }
  [[nodiscard]] bool has_ended();

 private:
  struct Shared;

  CoveringProcess(Places places, CoverShares::Bounds bounds, std::vector<long> covers,
                  const LosableThreads::Payer& payer, Shared* shared);
  static int enter(void* self);
  int cover() noexcept;
  void give_up() REQUIRES(mutex_);
  [[nodiscard]] bool is_given_up() const;
  void end(int status) REQUIRES(mutex_);

  Places places_;  ///< of the thread in run(); closed when the child has ended
  const CoverShares::Bounds bounds_;
  const std::vector<long> covers_;
  const LosableThreads::Payer payer_;
  Shared* const shared_;
  Mutex mutex_;
  Condition ended_;
  bool is_over_ GUARDED_BY(mutex_) = false;
  int status_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
