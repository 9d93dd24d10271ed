// DescendantScope: all processes below this process, or below others that are subreapers too and so
// lose none of them while they live. Once one of those has died its orphans may be anywhere, and
// all processes that there are take their place: looking at too many costs time and nothing else.
//
// However many they are below, all processes are gone through once.
// Every process is asked for its parent, but only once, because whoever is below us stays so and
// nobody else comes to be: by PIDFD_GET_INFO (Linux 6.13) in 2 µs, or through /proc/PID/stat in 4
// µs; but for the kernel's threads, which show by being in no session, in 0.1 µs. The lists of
// children in /proc would miss some while others end.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/process/process_scope.h"

namespace shmvisor {

class DescendantScope : public ProcessScope {
 public:
  using RootId = std::uint64_t;

  /// Below this process.
  explicit DescendantScope(KernelFeatures& features);
  /// Below those who are added.
  static std::shared_ptr<DescendantScope> of_others(KernelFeatures& features);

  /// One process may be added several times. Precondition: not reaped, or its pid may be another's.
  RootId add_root(pid_t pid);
  void remove_root(RootId root);

  [[nodiscard]] std::vector<pid_t> processes() const override;

 private:
  struct Root {
    pid_t pid = 0;
    /// So that its pid cannot come to mean another unseen.
    UniqueFd pidfd;
  };

  /// What is known for good of a process, while its pid goes with that inode in /proc.
  struct Known {
    std::uint64_t inode = 0;
    bool below = false;
  };
  using Verdicts = std::unordered_map<pid_t, Known>;

  DescendantScope(KernelFeatures& features, bool of_this_process)
      : features_(features), of_this_process_(of_this_process) {}

  /// nullopt when one of them has ended. Precondition: mutex_ is held.
  [[nodiscard]] std::optional<std::unordered_set<pid_t>> living_roots() const;
  [[nodiscard]] std::optional<pid_t> parent_of(pid_t pid) const;
  /// nullopt where its ancestors were not all to be seen.
  [[nodiscard]] static std::optional<bool> is_below(pid_t pid,
                                                    const std::unordered_set<pid_t>& roots,
                                                    const std::unordered_map<pid_t, pid_t>& parents,
                                                    const Verdicts& verdicts);

  KernelFeatures& features_;
  const bool of_this_process_;
  mutable std::mutex mutex_;
  std::map<RootId, Root> roots_;
  RootId last_root_ = 0;
  /// Of all processes of the last look; replaced, never changed, and a new one with other roots.
  mutable std::shared_ptr<const Verdicts> verdicts_ = std::make_shared<const Verdicts>();
};

}  // namespace shmvisor
