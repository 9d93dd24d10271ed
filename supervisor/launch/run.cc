#include "supervisor/launch/run.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "policy/filter_program.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/join/join_connection.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/joined_commands.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/ending_signals.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/group_witness.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/parent_watch.h"
#include "supervisor/launch/role_search.h"
#include "supervisor/launch/server_watch.h"
#include "supervisor/launch/serving_upkeep.h"
#include "supervisor/log/process_log.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/memory/machine.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/scope/descendant_scope.h"
#include "supervisor/scope/joint_scope.h"
#include "supervisor/scope/supervised_scope.h"
#include "supervisor/serve/server.h"

namespace shmvisor {
namespace {

/// For the mounts of the files in /proc to go with the last process.
constexpr std::chrono::milliseconds kUnmountBound(100);

pid_t g_command = 0;

int fail(const Failure& failure) {
  spdlog::critical("{}", failure.message);
  return failure.exit_status;
}

constexpr const char* kKernelsTable =
    "ipcs, sysctl and others that read /proc see the kernel's segments and limits, not these";

void tell_of_proc(const RunOptions& options, const ProcMountFailure& missing) {
  if (!ProcMounts::kernel_has_files()) {
    // Nobody shows another table then.
    if (options.proc == ProcMode::kFuse) {
      spdlog::warn(
          "--proc=fuse: /proc has no sysvipc here, since the kernel has no System V IPC or shows "
          "processes only, and no file can be added to it; ipcs asks by SHM_STAT");
    }
  } else if (options.proc == ProcMode::kOff) {
    spdlog::warn("--proc=off: {}", kKernelsTable);
  } else if (missing.failed() && options.user_namespace) {
    spdlog::warn("--userns: {}: {}", kKernelsTable, missing.advice());
  } else if (missing.failed()) {
    spdlog::info("{}: {}", kKernelsTable, missing.text());
  }
}

/// Without destructors: other threads still run, and log.
[[noreturn]] void leave_at_once(int status) {
  flush_process_log();
  ::_exit(status);
}

/// A command that is about to go on, and what belongs to it.
struct Launched {
  const RunOptions& options;
  KernelFeatures& features;
  const ProcessGroup& group;
  const InheritedState& inherited;
  Command& command;
  /// With --die-with-parent.
  const std::optional<ParentWatch>& parent;
};

/// Why it does not run after all; it has been killed where it still was there.
int give_up(const Launched& launched, const Failure& failure) {
  const pid_t pid = launched.command.pid();
  // The init loop may have reaped it, and its number may be somebody else's.
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  launched.group.leave(launched.command.pid());
  return fail(failure);
}

/// None where the command has a group of its own, so that no signal reaches both. Nor where it is
/// the init of a pid namespace that we are not in (`unshare --pid` without --fork): as another
/// process in there the witness could only end before the init, which would wait for it.
std::unique_ptr<GroupWitness> witness_in(const ProcessGroup& group) {
  struct stat ours {};
  struct stat childrens {};
  if (::stat("/proc/self/ns/pid", &ours) == 0 &&
      ::stat("/proc/self/ns/pid_for_children", &childrens) == 0 &&
      ours.st_ino != childrens.st_ino) {
    return nullptr;
  }
  return group.own() ? nullptr : std::make_unique<GroupWitness>();
}

/// Lines about how the command is started come before its own, unless nobody takes them.
constexpr std::chrono::milliseconds kBeforeCommand(100);

/// To the command's exec. Why not, otherwise.
std::optional<Failure> let_go(const Launched& launched, InitLoop& init) {
  if (!init.valid()) {
    return Failure{exit_status::kOwnFailure,
                   "signalfd(2) is refused, which tells of signals and children; raise "
                   "RLIMIT_NOFILE, or allow it where a seccomp filter forbids it"};
  }
  if (launched.parent) init.end_with(*launched.parent);
  flush_process_log(kBeforeCommand);
  launched.command.go_on();
  auto failure = launched.command.wait_for_exec([&init](int fd) { init.run_until(fd); });
  if (!failure) tell_of_proc(launched.options, launched.command.missing_in_proc());
  return failure;
}

/// Of a file system that whoever serves makes for the command: what its mounts belong to.
UniqueFd user_namespace_of(const Command& command) {
  if (!command.wants_mount()) return UniqueFd();
  return UniqueFd(::open(proc_path(command.pid(), "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
}

std::chrono::milliseconds tracer_wait(const RunOptions& options) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(options.tracer_wait_seconds * 1000));
}

/// Its calls are served here.
int run_serving(const Launched& launched, UniqueFd listener_fd, std::optional<JoinSocket> socket) {
  auto& [options, features, group, inherited, command, parent] = launched;
  g_command = command.pid();
  KickTimer::install_handler([](int signal_number) { ::kill(g_command, signal_number); });
  Listener listener(std::move(listener_fd), command.wait_kind());
  listener.use_sync_wake_up(features);
  const auto supervised = std::make_shared<SupervisedScope>(features);
  supervised->add_root(getpid());
  JointScope scope;
  scope.add(supervised);
  const DescriptorPlan plan = DescriptorPlan::of_this_process();
  DescriptorPool descriptors(plan);
  DescriptorShare descriptor_share(descriptors, DescriptorShare::Group::kOnly);
  MachineResources resources(features);
  Machine machine(resources, scope, &descriptor_share);
  Registries namespaces(machine, options.limits, NamespaceIds::ours().ipc, options.memory);
  IpcNamespaces ipc_namespaces(namespaces, scope, &descriptor_share);
  const auto open_file_shares = std::make_shared<OpenFileShares>();
  ProcFileSystem proc_files(ipc_namespaces, open_file_shares);
  const SysctlCovers covers(command.pid());
  const auto call_page = CallPage::create(features);
  ServerOptions server_options;
  server_options.call_page = call_page.get();
  ServingBudget budget(plan.calls_at_once);
  server_options.budget = &budget;
  server_options.most_remembered = static_cast<std::size_t>(plan.remembered_callers);
  server_options.tracer_wait = tracer_wait(options);
  UniqueFd connection = command.take_connection();
  if (command.wants_mount()) {
    // It was to join a server that ended.
    FuseMount files;
    const auto missing = files.make_for(user_namespace_of(command));
    connection = std::move(files.connection);
    command.take_mount(std::move(files.mount), missing);
  }
  if (connection.valid()) {
    // Where it cannot be served it is closed, and the child finds that it cannot mount its files.
    if (const auto served = proc_files.start(std::move(connection)); !served) {
      spdlog::warn("cannot serve the files in /proc: {}", std::strerror(served.error().value()));
    } else {
      server_options.on_namespace_change = [&covers](pid_t tid) { covers.cover(tid); };
    }
  }
  Server server(listener, ipc_namespaces, features, server_options);
  EventLoop loop;
  std::optional<JoinedCommands> joined;
  if (socket) {
    joined.emplace(loop, std::move(*socket), ipc_namespaces, scope, features, call_page.get(),
                   open_file_shares,
                   ServingShares{&descriptor_share, &budget,
                                 static_cast<std::size_t>(plan.remembered_joined_callers)});
  }
  ServingUpkeep upkeep(loop,
                       {listener, namespaces.files(), machine.release_watch(), ipc_namespaces});
  const DescendantScope below(features);
  InitLoop init(loop, command.pid(), group, options.signal_group, inherited.watched(), below);
  init.use(witness_in(group));
  // Where threads may still run, on what would be destroyed by returning.
  const auto leave = [&joined](int status) {
    if (joined) joined->drain();
    leave_at_once(status);
  };
  if (const auto started = server.start(); !started) {
    leave(give_up(launched, {exit_status::kOwnFailure,
                             std::string("cannot start a serving thread: ") +
                                 std::strerror(started.error().value()) +
                                 "; raise RLIMIT_NPROC, RLIMIT_NOFILE or the pids limit of the "
                                 "cgroup"}));
  }
  if (const auto failure = let_go(launched, init)) leave(give_up(launched, *failure));
  const auto all_gone = [&] { return upkeep.ended() && (!joined || joined->all_gone()); };
  const int status = init.run(options.linger, all_gone);
  // Whoever is left keeps the mounts.
  const auto unmount_bound = all_gone() ? kUnmountBound : std::chrono::milliseconds(0);
  if ((joined && !joined->drain()) || !server.wait_for_end() ||
      !proc_files.wait_for_end(unmount_bound) || !upkeep.wait_for_end()) {
    leave_at_once(status);
  }
  return status;
}

/// Hands its calls to another shmvisor. Where that has ended meanwhile and --join-or-serve is asked
/// for, another role is taken: true where the command is joined. Why not, otherwise.
std::variant<bool, Failure> hand_over(const Launched& launched, Role& role, RoleSearch& search,
                                      const UniqueFd& listener) {
  std::optional<EndingSignals> ending;
  if (role.server) ending.emplace(launched.inherited.mask());
  for (int tries = 1; role.server; ++tries) {
    auto handed_over = role.server->hand_over(listener, user_namespace_of(launched.command),
                                              tracer_wait(launched.options));
    if (auto* const accepted = std::get_if<JoinConnection::Accepted>(&handed_over)) {
      launched.command.take_mount(std::move(accepted->mount), accepted->missing);
      return true;
    }
    auto& trouble = std::get<JoinConnection::Trouble>(handed_over);
    if (!launched.options.join_or_serve || !trouble.nobody_serves ||
        tries == RoleSearch::kMostTries) {
      return Failure{exit_status::kOwnFailure, std::move(trouble.text)};
    }
    auto other = search.again();
    if (auto* const failure = std::get_if<Failure>(&other)) return std::move(*failure);
    auto& taken = std::get<Role>(other);
    role.server = std::move(taken.server);
    if (taken.socket) role.socket.emplace(std::move(*taken.socket));
  }
  return false;
}

/// Another shmvisor serves its calls.
int run_joined(const Launched& launched, JoinConnection& server, UniqueFd listener) {
  auto& [options, features, group, inherited, command, parent] = launched;
  const DescendantScope below(features);
  EventLoop loop;
  const ServerWatch watch(loop, server, std::move(listener));
  InitLoop init(loop, command.pid(), group, options.signal_group, inherited.watched(), below);
  init.use(witness_in(group));
  if (const auto failure = let_go(launched, init)) return give_up(launched, *failure);
  return init.run(options.linger, [&watch] { return watch.all_gone(); });
}

/// Whether /proc shows processes by the numbers that we know them by. Not asked of the files in
/// /proc/self/ns: a kernel without CONFIG_IPC_NS has none of IPC.
bool proc_is_ours() {
  std::array<char, 16> self{};
  const ssize_t length = ::readlink("/proc/self", self.data(), self.size());
  return length > 0 && std::string_view(self.data(), static_cast<std::size_t>(length)) ==
                           std::to_string(::getpid());
}

}  // namespace

int run_command(const RunOptions& options, KernelFeatures& features) {
  if (!proc_is_ours()) {
    return fail({exit_status::kOwnFailure,
                 "/proc is not mounted here, hidden, or another pid namespace's: nothing else "
                 "tells who calls; mount it"});
  }
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
  if (const auto* failure = std::get_if<Failure>(&taken)) return fail(*failure);
  Role& role = std::get<Role>(taken);
  search.bequeath_lock();
  const ProcessGroup group(options.own_group || options.signal_group);
  const InheritedState inherited(group, options.at_our_death);
  inherited.raise_limits();
  // What we were started as is the command's, see InheritedState.
  ::prctl(PR_SET_CHILD_SUBREAPER, options.subreaper ? 1 : 0, 0, 0, 0);
  std::optional<ParentWatch> parent;
  if (options.die_with_parent) parent.emplace();

  ProcMounts mounts(proc, options.user_namespace, role.server.has_value());
  auto started = Command::start(options.command, *filter, inherited, mounts, features);
  if (const auto* failure = std::get_if<Failure>(&started)) return fail(*failure);
  auto& command = std::get<Command>(started);
  const Launched launched{options, features, group, inherited, command, parent};
  UniqueFd listener = command.take_listener();
  auto handed_over = hand_over(launched, role, search, listener);
  if (const auto* failure = std::get_if<Failure>(&handed_over)) {
    return give_up(launched, *failure);
  }
  if (!std::get<bool>(handed_over)) {
    return run_serving(launched, std::move(listener), std::move(role.socket));
  }
  return run_joined(launched, *role.server, std::move(listener));
}

}  // namespace shmvisor
