// Launched: a command that waits to go on to its exec, with what belongs to it, and the steps that
// do not depend on which shmvisor serves its calls.
//
// Errors: a Failure is a sentence for the user. Ownership: borrows all. Thread rule: the main
// thread.
#pragma once

#include <chrono>
#include <functional>
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

  /// The command's user namespace, in which the serving shmvisor makes a file system for it.
  [[nodiscard]] UniqueFd user_namespace() const;
  [[nodiscard]] std::chrono::milliseconds tracer_wait() const;
  /// The witness of the process group that the command shares with us; null where it has its own.
  [[nodiscard]] std::unique_ptr<GroupWitness> make_witness() const;
  /// Lets the command go on to its exec. Answers why it does not run, if it does not. `meanwhile`:
  /// run while the command is about to.
  std::optional<Failure> let_go(
      InitLoop& init, const std::function<void()>& meanwhile = [] {}) const;
  /// The command does not run: kills it if it still lives, and logs the failure. Answers the exit
  /// status.
  [[nodiscard]] int give_up(const Failure& failure) const;
};

/// Logs the failure, and answers the exit status.
int fail(const Failure& failure);

}  // namespace shmvisor
