// run_command: `shmvisor run`, from the start of the command to its exit status.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/limits/limits.h"
#include "policy/limits/memory_policy.h"
#include "supervisor/audit/audit_place.h"
#include "supervisor/control/control_options.h"
#include "supervisor/kernel/features.h"
#include "supervisor/launch/inherited_state.h"
#include "supervisor/procfiles/proc_mounts.h"
#include "supervisor/session/cleanup_mode.h"
#include "supervisor/session/steering.h"

namespace shmvisor {

struct RunOptions {
  std::vector<std::string> command;
  Limits limits;
  /// Limits of users, and rules for calls.
  Steering steering;
  /// Reads the configuration again; null: there is none.
  ReadSteering read_again;
  MemoryPolicy memory;
  CleanupMode cleanup = CleanupMode::kKeep;
  /// Whether descendants that outlive the command are served on.
  bool linger = true;
  /// Whether a keeper has the command, and starts another server where one dies.
  bool keeper = false;
  /// So many deaths of servers in a minute are too many.
  int keeper_deaths = 5;
  /// Whether the command leads a process group of its own, see ProcessGroup.
  bool own_group = false;
  /// Whether signals to shmvisor go to that whole group. Implies own_group.
  bool signal_group = false;
  /// How long an attach or detach waits for a tracer to leave its caller.
  double tracer_wait_seconds = 2;
  AtOurDeath at_our_death = AtOurDeath::kKillCommand;
  /// Whether the command is killed, and shmvisor ends, when shmvisor's parent ends.
  bool die_with_parent = false;
  /// Whether orphaned descendants become shmvisor's children, instead of init's. So it is anyway
  /// where Yama lets shmvisor trace nobody but its descendants.
  bool subreaper = false;
  /// Where an operator reaches the run.
  ControlOptions control;
  AuditOptions audit;
  /// Where each call is printed: a file, or standard error where it is empty. Nothing: nowhere.
  std::optional<std::string> trace;
  /// The same for a report at the end.
  std::optional<std::string> report;
  /// A file of `shmvisor save` that the registry begins with; empty: none.
  std::string restore_path;
  /// Where the registry is saved to at the end; empty: nowhere.
  std::string save_path;
  /// Which of `limits` the operator set, and whether `cleanup` was.
  LimitSettings limits_set;
  bool cleanup_set = false;
  /// What the command sees in /proc. Nothing: its registry, where that is possible.
  std::optional<ProcMode> proc;
  /// Whether it runs in a user namespace of its own, with this user's ids.
  bool user_namespace = false;
  /// Whether it also runs in an IPC namespace of its own, so that its semaphores and message queues
  /// are private too. Where the kernel refuses one, a warning says so.
  bool private_ipc = false;
  /// Where other runs find this one's registry; empty: nowhere.
  std::string serve_path;
  /// The path of the run whose registry, with its limits, to use; empty: a registry of its own.
  std::string join_path;
  /// The same in the operator's words, as "name:db".
  std::string join_given = {};
  /// The two paths are the same: joins the run that serves there; if there is none, this run
  /// serves.
  bool join_or_serve = false;
  /// Options of the command line that a run which joins another one makes no use of; empty: none.
  std::vector<std::string> for_server = {};
};

/// Answers the exit status, see exit_status.h; failures are logged. Takes over the process's signal
/// handling; called once.
int run_command(const RunOptions& options, KernelFeatures& features);

}  // namespace shmvisor
