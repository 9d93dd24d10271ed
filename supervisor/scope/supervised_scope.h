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
// take 0.1 µs.
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
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class SupervisedScope : public ProcessScope {
 public:
  using RootId = std::uint64_t;

  explicit SupervisedScope(KernelFeatures features = KernelFeatures())
      : features_(std::move(features)) {}

  /// One process may be added several times. Precondition: the process is not reaped, so that its
  /// pid is still its own.
  RootId add_root(pid_t pid);
  void remove_root(RootId root) noexcept;

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;

 private:
  struct Root {
    /// The least number of filters that its command has. 0, which every process has, where that
    /// could not be read.
    std::uint64_t filters = 0;
    bool in_session = false;  ///< the session has an id here; so have all that it started
  };
  /// The verdict on a process, which holds while /proc/PID has that inode.
  struct Known {
    std::uint64_t inode = 0;
    bool belongs = false;
  };
  using Verdicts = std::unordered_map<pid_t, Known>;
  void roots_change() REQUIRES(mutex_);
  using Roots = std::map<RootId, Root>;

  /// Whether its parent belongs to this scope, where that is cheap to tell.
  bool is_child_of_one(pid_t pid, const Verdicts& verdicts) const;
  /// nullopt where the process is gone.
  static std::optional<bool> judge(pid_t pid, const Roots& roots, const Verdicts& verdicts);

  mutable KernelFeatures features_;
  const std::shared_ptr<const Verdicts> none_ = std::make_shared<const Verdicts>();
  mutable Mutex mutex_;
  Roots roots_ GUARDED_BY(mutex_);
  RootId last_root_ GUARDED_BY(mutex_) = 0;
  /// The verdicts of the last pass; replaced, never changed, and cleared when the roots change.
  mutable std::shared_ptr<const Verdicts> verdicts_ GUARDED_BY(mutex_) = none_;
  std::uint64_t changes_ GUARDED_BY(mutex_) = 0;  ///< of the roots
};

}  // namespace shmvisor
