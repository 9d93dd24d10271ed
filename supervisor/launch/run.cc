#include "supervisor/launch/run.h"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/filter/filter_program.h"
#include "supervisor/audit/process_audit.h"
#include "supervisor/join/join_connection.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/kernel/yama.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/ending_signals.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/kept_run.h"
#include "supervisor/launch/launched.h"
#include "supervisor/launch/own_capability.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/resumed_run.h"
#include "supervisor/launch/role_search.h"
#include "supervisor/launch/server_watch.h"
#include "supervisor/launch/serving_run.h"
#include "supervisor/log/process_log.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/scope/descendant_scope.h"

namespace shmvisor {
namespace {

/// Hands its calls to another shmvisor. Where that has ended meanwhile and --join-or-serve is asked
/// for, another role is taken: true where the command is joined. Why not, otherwise.
Result<bool, Failure> hand_over(const Launched& launched, Role& role, RoleSearch& search,
                                const UniqueFd& listener) {
  std::optional<EndingSignals> ending;
  if (role.server) ending.emplace(launched.inherited.mask());
  for (int tries = 1; role.server; ++tries) {
    auto handed_over =
        role.server->hand_over(listener, launched.user_namespace(), launched.tracer_wait());
    if (handed_over) {
      launched.command.take_mount(std::move(handed_over->mount), handed_over->missing);
      return true;
    }
    const JoinConnection::Trouble& trouble = handed_over.error();
    if (!launched.options.join_or_serve || !trouble.nobody_serves ||
        tries == RoleSearch::kMostTries) {
      return Failure{exit_status::kOwnFailure, trouble.text};
    }
    auto other = search.again();
    if (!other) return other.error();
    role.server = std::move(other->server);
    if (other->socket) role.socket.emplace(std::move(*other->socket));
  }
  return false;
}

/// Another shmvisor serves its calls.
int run_joined(const Launched& launched, const JoinConnection& server, UniqueFd listener) {
  const DescendantScope below(launched.features);
  EventLoop loop;
  const ServerWatch watch(loop, server, std::move(listener));
  InitLoop init(loop, launched.command.pid(), launched.group, launched.options.signal_group,
                launched.inherited.watched(), below);
  launched.prepare(init);
  if (const auto failure = launched.let_go(init)) return launched.give_up(*failure);
  return init.run(launched.options.linger, [&watch] { return watch.all_gone(); });
}

/// Whether an orphan that becomes init's child is out of our reach, because Yama lets us trace
/// descendants alone.
bool orphans_need_us() {
  return yama::ptrace_scope() == yama::kDescendants && !has_own_capability(CAP_SYS_PTRACE);
}

/// Whether /proc shows processes by the numbers that we know them by. Not asked of the files in
/// /proc/self/ns: a kernel without CONFIG_IPC_NS has none of IPC.
bool proc_is_ours() {
  std::array<char, 16> self{};
  const ssize_t length = ::readlink("/proc/self", self.data(), self.size());
  return length > 0 && std::string_view(self.data(), static_cast<std::size_t>(length)) ==
                           std::to_string(::getpid());
}

Result<Kept, Failure> prepare_keeper(const RunOptions& options, KernelFeatures& features) {
  if (orphans_need_us()) {
    return Failure{exit_status::kOwnFailure,
                   "--keeper: Yama's ptrace_scope lets a process trace its descendants alone, and "
                   "with a keeper the command is none of the server's; give shmvisor "
                   "CAP_SYS_PTRACE, or run it without"};
  }
  auto prepared = prepare_keeper(features, !options.serve_path.empty());
  if (!prepared) return Failure{exit_status::kOwnFailure, "--keeper: " + prepared.error()};
  return *prepared;
}

/// Those who join a run share its segments: each stays where it was started.
IpcOf ipc_of(const RunOptions& options, const Role& role) {
  if (!options.private_ipc) return IpcOf::kSupervisor;
  if (!role.server) return IpcOf::kCommand;
  spdlog::warn(
      "--private-ipc: this run joins another one, so its semaphores and message queues stay "
      "shared");
  return IpcOf::kSupervisor;
}

std::optional<std::string> open_audit(const RunOptions& options) {
  return open_process_audit(options.audit,
                            {"run", options.control.name, static_cast<int>(::getpid())},
                            options.keeper ? AuditOf::kServers : AuditOf::kProcess);
}

/// Of a run that joins another one.
void tell_what_is_the_servers(const RunOptions& options) {
  if (!options.for_server.empty()) {
    std::string names;
    for (const std::string& name : options.for_server) names += (names.empty() ? "" : ", ") + name;
    const bool one = options.for_server.size() == 1;
    spdlog::warn("this run joins another one: {} {} for the run that serves, and {} nothing here",
                 names, one ? "is" : "are", one ? "does" : "do");
  }
  if (options.steering.rules != nullptr || options.steering.user_limits != nullptr) {
    spdlog::warn(
        "this run joins another one: the rules and users' limits of --config are for the run that "
        "serves, and do nothing here");
  }
}

}  // namespace

int run_command(const RunOptions& options, KernelFeatures& features) {
  if (!proc_is_ours()) {
    return fail({exit_status::kOwnFailure,
                 "/proc is not mounted here, hidden, or another pid namespace's: nothing else "
                 "tells who calls; mount it"});
  }
  if (KeptStore::ours().resumes()) return resume_run(options, features);
  const auto filter = build_filter_program();
  if (!filter) {
    return fail({exit_status::kOwnFailure, std::string("cannot build the seccomp filter: ") +
                                               std::strerror(filter.error().value()) +
                                               "; see 'shmvisor check'"});
  }
  ProcMode proc = options.proc.value_or(ProcMode::kAuto);
  if (!ProcMounts::kernel_has_files()) proc = ProcMode::kOff;
  RoleSearch search(options);
  auto taken = search.first();
  if (!taken) return fail(taken.error());
  Role& role = *taken;
  // A run that joins another one has nothing to record.
  if (!role.server) {
    if (const auto trouble = open_audit(options)) return fail({exit_status::kOwnFailure, *trouble});
  }
  search.bequeath_lock();
  const ProcessGroup group(options.own_group || options.signal_group);
  const InheritedState inherited(group, options.at_our_death);
  inherited.raise_limits();
  std::optional<Kept> kept;
  if (options.keeper && !role.server) {
    auto prepared = prepare_keeper(options, features);
    if (!prepared) return fail(prepared.error());
    kept.emplace(*prepared);
  }
  // The state that we were started with is the command's, see InheritedState.
  ::prctl(PR_SET_CHILD_SUBREAPER, options.subreaper || orphans_need_us() ? 1 : 0, 0, 0, 0);
  std::optional<ParentWatch> parent;
  if (options.die_with_parent) parent.emplace();

  ProcMounts mounts(proc, options.user_namespace, role.server.has_value());
  std::optional<ServingRun::Groundwork> groundwork;
  auto started = Command::start(
      options.command, *filter, inherited, mounts, features, ipc_of(options, role), [&] {
        if (!role.server) groundwork.emplace(ServingRun::lay_groundwork(options, features));
      });
  if (!started) return fail(started.error());
  Command& command = *started;
  Launched launched{options, features, group, inherited, command, parent, kept ? &*kept : nullptr};
  UniqueFd listener = command.take_listener();
  const auto joined = hand_over(launched, role, search, listener);
  if (!joined) return launched.give_up(joined.error());
  if (*joined) tell_what_is_the_servers(options);
  if (!*joined) {
    // Where it was to join another one, which has ended meanwhile, nothing of this is there yet.
    if (process_audit() == nullptr) {
      if (const auto trouble = open_audit(options)) {
        return launched.give_up({exit_status::kOwnFailure, *trouble});
      }
    }
    if (options.keeper && !kept) {
      auto prepared = prepare_keeper(options, features);
      if (!prepared) return launched.give_up(prepared.error());
      launched.kept = &kept.emplace(*prepared);
    }
    // Here, so that a keeper has it, too.
    if (command.wants_mount()) command.make_mount(launched.user_namespace());
    if (!groundwork) groundwork.emplace(ServingRun::lay_groundwork(options, features));
    if (kept) {
      return run_kept(launched, std::move(listener), std::move(role.socket),
                      std::move(*groundwork));
    }
    return ServingRun(launched, std::move(listener), std::move(role.socket), std::move(*groundwork))
        .run();
  }
  // It serves nothing, so there is nothing to keep.
  if (options.keeper) let_process_log_have_thread(true);
  return run_joined(launched, *role.server, std::move(listener));
}

}  // namespace shmvisor
