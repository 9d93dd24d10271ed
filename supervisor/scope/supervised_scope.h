// SupervisedScope: every process that may be under our filter, or under that of somebody who
// joined.
//
// An orphan becomes the child of init, or of a subreaper above us, as it does without shmvisor, so
// that nothing shows it to have been ours but what it inherited: a seccomp filter more than the
// process that started its command has (a root). Processes of others may look the same; looking at
// too many costs time and nothing else, since a segment is recognised by its file. So nobody may be
// signalled because of being here.
//
// However many roots there are, all processes are gone through once. Each is looked at once in its
// life: who is under a filter stays so, and who is not does not get under ours. A child of one that
// belongs does too, which takes 2 µs (Linux 6.13). Others take 14 µs, by /proc/PID/status, whose
// reader no exec keeps; the kernel's threads, which show by being in no session, 0.1 µs.
//
// An orphan with 65536 groups makes its status take 20 ms and more, once.
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

  /// One process may be added several times. Precondition: not reaped, or its pid may be another's.
  RootId add_root(pid_t pid);
  void remove_root(RootId root);

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;

 private:
  struct Root {
    /// Of its command, at least. Where that could not be read 0, which all processes have.
    std::uint64_t filters = 0;
    bool in_session = false;  ///< in one that has a number here, as all that it started are
  };
  /// What is known for good of a process, while its pid goes with that inode in /proc.
  struct Known {
    std::uint64_t inode = 0;
    bool belongs = false;
  };
  using Verdicts = std::unordered_map<pid_t, Known>;
  using Roots = std::map<RootId, Root>;

  /// Whether its parent is among those who belong, as far as that is cheap to tell.
  bool is_child_of_one(pid_t pid, const Verdicts& verdicts) const;
  /// nullopt where it is gone.
  static std::optional<bool> judge(pid_t pid, const Roots& roots, const Verdicts& verdicts);

  mutable KernelFeatures features_;
  mutable Mutex mutex_;
  Roots roots_ GUARDED_BY(mutex_);
  RootId last_root_ GUARDED_BY(mutex_) = 0;
  /// Of all processes of the last look; replaced, never changed, and a new one with other roots.
  mutable std::shared_ptr<const Verdicts> verdicts_ GUARDED_BY(mutex_) =
      std::make_shared<const Verdicts>();
};

}  // namespace shmvisor
