#include "supervisor/launch/run.h"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "policy/filter_program.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/memory/machine.h"
#include "supervisor/process/descendant_scope.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"
#include "supervisor/serve/server.h"

namespace shmvisor {
namespace {

pid_t g_command = 0;

int fail(const Failure& failure) {
  spdlog::critical("{}", failure.message);
  return failure.exit_status;
}

constexpr const char* kKernelsTable =
    "ipcs, sysctl and others that read /proc see the kernel's segments and limits, not these";

void tell_of_proc(const RunOptions& options, const ProcMountFailure& missing) {
  if (options.proc == ProcMode::kOff) {
    spdlog::warn("--proc=off: {}", kKernelsTable);
  } else if (missing.failed()) {
    spdlog::info("{}: {}", kKernelsTable, missing.text());
  }
}

/// Without destructors and spdlog::shutdown(): other threads still run, and log.
[[noreturn]] void leave_at_once(int status) {
  spdlog::default_logger_raw()->flush();
  ::_exit(status);
}

}  // namespace

int run_command(const RunOptions& options, KernelFeatures& features) {
  const auto filter = build_filter_program();
  if (!filter) {
    return fail({exit_status::kOwnFailure, std::string("cannot build the seccomp filter: ") +
                                               std::strerror(filter.error().value())});
  }
  const ProcessGroup group(options.own_group || options.signal_group);
  const InheritedState inherited(group);
  // Orphans come to us, so that every process we serve stays below us.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

  ProcMounts mounts(options.proc.value_or(ProcMode::kAuto), options.user_namespace);
  auto started = Command::start(options.command, *filter, inherited, mounts, features);
  if (const auto* failure = std::get_if<Failure>(&started)) return fail(*failure);
  Command& command = std::get<Command>(started);
  inherited.raise_descriptor_limit();

  g_command = command.pid();
  KickTimer::install_handler([](int signal_number) { ::kill(g_command, signal_number); });
  Listener listener(command.take_listener(), command.wait_kind());
  listener.use_sync_wake_up(features);
  const DescendantScope scope;
  MachineResources resources(features);
  Machine machine(resources, scope);
  Namespaces namespaces(machine, options.limits, NamespaceIds::ours().ipc, options.memory);
  IpcNamespaces ipc_namespaces(namespaces, scope);
  const auto call_page = CallPage::create(features);
  Server server(listener, ipc_namespaces, features, {.call_page = call_page.get()});
  InitLoop init(command.pid(), group, options.signal_group, inherited.watched(),
                {listener, namespaces.files(), machine.release_watch(), ipc_namespaces, scope});
  ProcFileSystem proc_files(ipc_namespaces);
  const SysctlCovers covers(command.pid());
  if (UniqueFd connection = command.take_connection(); connection.valid()) {
    // Where it cannot be served it is closed, and the child finds that it cannot mount its files.
    if (const auto served = proc_files.start(std::move(connection)); !served) {
      spdlog::warn("cannot serve the files in /proc: {}", std::strerror(served.error().value()));
    } else {
      server.on_namespace_change([&covers](pid_t tid) { covers.cover(tid); });
    }
  }
  if (!server.start()) {
    ::kill(command.pid(), SIGKILL);
    spdlog::critical("cannot start a serving thread; raise RLIMIT_NPROC");
    leave_at_once(exit_status::kOwnFailure);  // the files in /proc may be served already
  }
  if (const auto failure = command.wait_for_exec([&init](int fd) { init.run_until(fd); })) {
    ::waitpid(command.pid(), nullptr, 0);
    group.leave(command.pid());
    spdlog::critical("{}", failure->message);
    leave_at_once(failure->exit_status);
  }
  tell_of_proc(options, command.missing_in_proc());
  const int status = init.run(options.linger);
  if (!server.wait_for_end() || !proc_files.wait_for_end()) {
    // Threads are still blocked in the kernel, on what would be destroyed here.
    leave_at_once(status);
  }
  return status;
}

}  // namespace shmvisor
