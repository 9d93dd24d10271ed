// Launched: a command that waits to go on to its exec, with what belongs to it, and the steps that
// do not depend on which shmvisor serves its calls.
//
// Errors: a Failure is a sentence for the user. Ownership: borrows all. Thread rule: the main
// thread.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/command_watch.h"
#include "supervisor/launch/group_witness.h"
#include "supervisor/launch/inherited_state.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/kept.h"
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
  /// With --keeper; null without. Then the command is the keeper's child, and its calls are served
  /// by the keeper's servers, one after another.
  const Kept* kept = nullptr;

  /// Whether nobody has served before: no server that takes over from another.
  [[nodiscard]] bool is_first() const { return kept == nullptr || !kept->page.serves.load(); }

  /// By which the run is known.
  [[nodiscard]] pid_t pid() const { return kept != nullptr ? kept->keeper : ::getpid(); }
  /// The command's user namespace, in which the serving shmvisor makes a file system for it.
  [[nodiscard]] UniqueFd user_namespace() const;
  [[nodiscard]] std::chrono::milliseconds tracer_wait() const;
  /// Gives it the witness of the process group that the command shares with us, and the parent to
  /// end with.
  void prepare(InitLoop& init) const;
  /// Lets the command go on to its exec. Answers why it does not run, if it does not. `meanwhile`:
  /// run while the command is about to.
  std::optional<Failure> let_go(
      CommandWatch& watch, const std::function<void()>& meanwhile = [] {}) const;
  /// The command does not run: kills it if it still lives and is our child, and logs the failure.
  /// Answers the exit status.
  [[nodiscard]] int give_up(const Failure& failure) const;

 private:
  /// Null where the command has a process group of its own.
  [[nodiscard]] std::unique_ptr<GroupWitness> make_witness() const;
};

/// Logs the failure, and answers the exit status.
int fail(const Failure& failure);

}  // namespace shmvisor
