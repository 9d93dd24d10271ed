#include "supervisor/launch/resumed_run.h"

#include <csignal>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/kept_run.h"
#include "supervisor/launch/launched.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/resumed_state.h"

namespace shmvisor {
namespace {

/// What a run was started with, and cannot change.
RunOptions as_it_was(RunOptions options) {
  const KeptStore& store = KeptStore::ours();
  options.keeper = true;
  options.serve_path = kept_socket(kept_run::kJoinSocket).file.path;
  options.join_path.clear();
  options.control.path = kept_socket(kept_run::kControlSocket).file.path;
  options.control.name = store.text(kept_run::kName);
  options.own_group = store.number(kept_run::kOwnGroup).value_or(0) != 0;
  options.signal_group = store.number(kept_run::kSignalGroup).value_or(0) != 0;
  options.private_ipc = store.descriptor(kept_run::kIpcNamespace).has_value();
  return options;
}

Result<Command::Running, std::string> running_command() {
  const KeptStore& store = KeptStore::ours();
  const auto pid = store.needed_number(kept_run::kCommand);
  if (!pid) return pid.error();
  const auto listener = store.needed_descriptor(kept_run::kListener);
  if (!listener) return listener.error();
  return Command::Running{
      static_cast<pid_t>(*pid),
      store.text(kept_run::kCommandName),
      *listener,
      static_cast<WaitKind>(store.number(kept_run::kWaitKind).value_or(0)),
      store.descriptor(kept_run::kConnection).value_or(-1),
      store.descriptor(kept_run::kIpcNamespace).value_or(-1),
  };
}

int cannot(const std::string& why) {
  go_back(why);
  return exit_status::kOwnFailure;
}

}  // namespace

int resume_run(const RunOptions& given, KernelFeatures& features) {
  const KeptStore& store = KeptStore::ours();
  if (!given.keeper) return cannot("the run has a keeper, and this reading of its options has not");
  const RunOptions options = as_it_was(given);
  const auto running = running_command();
  if (!running) return cannot(running.error());
  const ProcessGroup group(options.own_group || options.signal_group);
  const InheritedState inherited(group, options.at_our_death);
  inherited.raise_limits();
  const auto kept = prepare_keeper(features, !options.serve_path.empty());
  if (!kept) return cannot(kept.error());
  if (const auto trouble = open_resumed_audit(
          options.audit, {"run", options.control.name, static_cast<int>(::getpid())})) {
    return cannot(*trouble);
  }
  if (const std::string why = why_not_go_on(*kept, features); !why.empty()) return cannot(why);
  end_where_only_asked();

  std::optional<ParentWatch> parent;
  if (const auto pid = store.number(kept_run::kParentPid)) {
    parent.emplace(UniqueFd(store.descriptor(kept_run::kParent).value_or(-1)),
                   static_cast<pid_t>(*pid));
  }
  Command command(*running);
  const Launched launched{options, features, group, inherited, command, parent, &*kept};
  auto groundwork = ServingRun::lay_groundwork(options, features);
  if (const KeptSocket there = kept_socket(kept_run::kControlSocket); there.fd >= 0) {
    groundwork.control.emplace(ControlSocket::take(UniqueFd(there.fd), SocketFile(there.file)));
  }
  std::optional<JoinSocket> socket;
  if (const KeptSocket there = kept_socket(kept_run::kJoinSocket); there.fd >= 0) {
    socket.emplace(JoinSocket::take(UniqueFd(there.fd), SocketFile(there.file)));
  }
  return run_kept(launched, command.take_listener(), std::move(socket), std::move(groundwork));
}

}  // namespace shmvisor
