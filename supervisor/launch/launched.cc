#include "supervisor/launch/launched.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdint>
#include <thread>

#include "supervisor/launch/end_child.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/log/process_log.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Log lines about the start come before the command's own output, unless the log's reader is
/// stuck.
constexpr std::chrono::milliseconds kBeforeCommand(100);

constexpr const char* kKernelsTable =
    "ipcs, sysctl and others that read /proc see the kernel's segments and limits, not these";

void tell_of_proc(const RunOptions& options, const ProcMountFailure& missing) {
  if (!ProcMounts::kernel_has_files()) {
    // Then no file shows the kernel's table instead.
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

void tell_of_ipc(const RunOptions& options, const std::optional<Errno>& refused) {
  if (!refused) return;
  spdlog::warn(
      "--private-ipc: the kernel refuses a new IPC namespace ({}){}; semaphores and message queues "
      "stay shared",
      std::strerror(refused->value()), options.user_namespace ? "" : ", try it with --userns");
}

}  // namespace

int fail(const Failure& failure) {
  spdlog::critical("{}", failure.message);
  return failure.exit_status;
}

UniqueFd Launched::user_namespace() const {
  if (!command.wants_mount()) return UniqueFd();
  return UniqueFd(::open(proc_path(command.pid(), "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
}

std::chrono::milliseconds Launched::tracer_wait() const {
  return std::chrono::milliseconds(static_cast<std::int64_t>(options.tracer_wait_seconds * 1000));
}

/// None where the command has a group of its own, so that no signal reaches both. Nor where it is
/// the init of a pid namespace that we are not in (`unshare --pid` without --fork): as another
/// process in there the witness could only end before the init, which would wait for it.
std::unique_ptr<GroupWitness> Launched::make_witness() const {
  struct stat ours {};
  struct stat childrens {};
  if (::stat("/proc/self/ns/pid", &ours) == 0 &&
      ::stat("/proc/self/ns/pid_for_children", &childrens) == 0 &&
      ours.st_ino != childrens.st_ino) {
    return nullptr;
  }
  return group.own() ? nullptr : std::make_unique<GroupWitness>();
}

void Launched::prepare(InitLoop& init) const {
  init.use(make_witness());
  if (parent) init.end_with(*parent);
}

std::optional<Failure> Launched::let_go(CommandWatch& watch,
                                        const std::function<void()>& meanwhile) const {
  if (!watch.valid()) {
    return Failure{exit_status::kOwnFailure,
                   "signalfd(2) is refused, which tells of signals and children; raise "
                   "RLIMIT_NOFILE, or allow it where a seccomp filter forbids it"};
  }
  if (kept != nullptr && kept->page.command_runs.load()) {
    meanwhile();
    return std::nullopt;
  }
  flush_process_log(kBeforeCommand);
  command.go_on();
  meanwhile();
  auto failure = command.wait_for_exec([&watch](int fd) { watch.run_until(fd); });
  if (kept == nullptr) {
    command.leave();
  } else if (!failure) {
    // The connection stays, or another file would come to have its number, by which the keeper and
    // its next servers know it.
    kept->page.command_runs.store(true);
  }
  if (!failure) tell_of_proc(options, command.missing_in_proc());
  if (!failure) tell_of_ipc(options, command.ipc_refused());
  return failure;
}

int Launched::give_up(const Failure& failure) const {
  if (kept != nullptr) kept->page.gave_up.store(true);
  end_child(command.pid());  // unless the init loop has reaped it
  group.leave(command.pid());
  return fail(failure);
}

}  // namespace shmvisor
