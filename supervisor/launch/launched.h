// Launched: a command that waits to go on to its exec, and what belongs to it; and the steps that
// are the same whoever serves its calls.
//
// Errors: a Failure is a sentence for the user. Ownership: borrows all. Thread rule: the main
// thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/group_witness.h"
#include "supervisor/launch/inherited_state.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/process_group.h"
#include "supervisor/launch/run.h"

namespace shmvisor {

struct Launched {
  const RunOptions& options;
  KernelFeatures& features;
  const ProcessGroup& group;
  const InheritedState& inherited;
  Command& command;
  /// With --die-with-parent.
  const std::optional<ParentWatch>& parent;

  /// Of a file system that whoever serves makes for the command: what its mounts belong to.
  [[nodiscard]] UniqueFd user_namespace() const;
  [[nodiscard]] std::chrono::milliseconds tracer_wait() const;
  /// Of the group that the command is in with us, if any.
  [[nodiscard]] std::unique_ptr<GroupWitness> make_witness() const;
  /// To the command's exec. Why not, otherwise.
  std::optional<Failure> let_go(InitLoop& init) const;
  /// It does not run after all, and is killed where it still is there. The exit status.
  [[nodiscard]] int give_up(const Failure& failure) const;
};

/// Tells of it. The exit status.
int fail(const Failure& failure);

}  // namespace shmvisor
