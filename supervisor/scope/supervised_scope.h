// SupervisedScope: every process that may be under our filter, or under that of a joined run.
//
// An orphan becomes the child of init, or of a subreaper above us, as it does without shmvisor.
// Only what it inherited shows that it was ours: one seccomp filter more than the process that
// started its command (a root). Unrelated processes may look the same, so a process of this scope
// must not be signalled. To look at too many costs time and nothing else, since a segment is
// recognised by its file.
//
// One pass over all processes of /proc serves all roots. Each process is judged once in its life: a
// filter stays for good, and a process without ours does not get it later. A child of a process in
// this scope belongs to it, which takes 2 µs to see (Linux 6.13). Other processes take 14 µs, by
// /proc/PID/status, which does not wait for an exec. The kernel's threads, which are in no session,
// take 0.1 µs. To list /proc takes 0.4 µs for each process. It is left out where the pids that were
// given out since (RecentPids) tell which processes are new.
//
// The status of an orphan with 65536 groups takes 20 ms and more, once.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/kernel/features.h"
#include "supervisor/procfs/last_pid.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/scope/process_scope.h"
#include "supervisor/scope/recent_pids.h"

namespace shmvisor {

class SupervisedScope : public ProcessScope {
 public:
  using RootId = std::uint64_t;

  explicit SupervisedScope(KernelFeatures features = KernelFeatures())
      : features_(std::move(features)) {}

  struct Root {
    /// The least number of filters that its command has. 0, which every process has, where that
    /// could not be read.
    std::uint64_t filters = 0;
    bool in_session = false;  ///< the session has an id here; so have all that it started
    pid_t pid = 0;            ///< of the process; 0: not known
    /// ProcessStat's. The process may end before its command, and its pid go to a stranger.
    std::uint64_t started_ticks = 0;
  };
  /// Precondition: the process is not reaped, so that its pid is still its own.
  static Root look_at(pid_t pid);

  /// One process may be added several times.
  RootId add_root(const Root& root);
  /// Precondition: that of look_at().
  RootId add_root(pid_t pid) { return add_root(look_at(pid)); }
  void remove_root(RootId root) noexcept;

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;
  void note_served(pid_t pid) const override;
  [[nodiscard]] bool is_exact() const override { return false; }
  /// The roots that live.
  [[nodiscard]] std::vector<pid_t> ancestors() const override;

 private:
  /// The verdict on a process, which holds while /proc/PID has that inode.
  struct Known {
    std::uint64_t inode = 0;
    bool belongs = false;
  };
  using Verdicts = std::unordered_map<pid_t, Known>;
  /// What a pass found. Replaced by the next one, never changed.
  struct Pass {
    RecentPids::Clock::time_point listed;  ///< when the listing of /proc began
    Verdicts verdicts;
    std::vector<pid_t> found;
  };
  using Roots = std::map<RootId, Root>;
  /// What a pass begins with.
  struct Start {
    Roots roots;
    std::shared_ptr<const Pass> known;
    std::uint64_t changes = 0;
    RecentPids::Clock::time_point when = RecentPids::Clock::now();
    /// Pids that may belong to new processes; nothing where /proc is to be listed.
    std::optional<std::vector<pid_t>> recent = std::nullopt;
    /// Pids that are processes', and of which the last pass may know nothing.
    std::vector<pid_t> served = {};
  };
  /// Beyond them /proc is listed.
  static constexpr std::size_t kMostServed = 256;

  void roots_change() REQUIRES(mutex_);
  [[nodiscard]] Start start() const;
  /// Which pids of `start` are processes', where /proc is not listed.
  [[nodiscard]] static std::vector<NumberedInode> new_ones(const Start& start);
  /// The processes that have these pids, but for those that `verdicts` knows: no pid comes again
  /// while a listing holds (RecentPids).
  [[nodiscard]] static std::vector<NumberedInode> living(const std::vector<pid_t>& pids,
                                                         const Verdicts& verdicts);
  /// Adds those that are not known yet.
  void judge_new(const Roots& roots, const std::vector<NumberedInode>& unknown, Pass& pass) const;

  /// Whether its parent belongs to this scope, where that is cheap to tell.
  bool is_child_of_one(pid_t pid, const Verdicts& verdicts) const;
  /// nullopt where the process is gone.
  static std::optional<bool> judge(pid_t pid, const Roots& roots, const Verdicts& verdicts);

  mutable KernelFeatures features_;
  const LastPid last_pid_;
  const std::shared_ptr<const Pass> none_ = std::make_shared<const Pass>();
  mutable Mutex mutex_;
  Roots roots_ GUARDED_BY(mutex_);
  RootId last_root_ GUARDED_BY(mutex_) = 0;
  /// The last pass; none_ when the roots change.
  mutable std::shared_ptr<const Pass> pass_ GUARDED_BY(mutex_) = none_;
  mutable RecentPids recent_pids_ GUARDED_BY(mutex_);
  mutable std::vector<pid_t> served_ GUARDED_BY(mutex_);  ///< since the last pass began
  std::uint64_t changes_ GUARDED_BY(mutex_) = 0;          ///< of the roots
};

}  // namespace shmvisor
