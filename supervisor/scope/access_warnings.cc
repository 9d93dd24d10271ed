#include "supervisor/scope/access_warnings.h"

#include <spdlog/spdlog.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <cerrno>

#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/yama.h"
#include "supervisor/procfs/process_name.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// The kernel would look for the process first, and there is none of that number.
bool ptrace_is_forbidden() {
  return ::ptrace(PTRACE_SEIZE, -1, nullptr, nullptr) != 0 && errno != ESRCH;
}

AccessWarnings::Kind kind_of(pid_t tid, pid_t tracer_pid) {
  if (tracer_pid != 0) return AccessWarnings::Kind::kTracer;
  if (ptrace_is_forbidden()) return AccessWarnings::Kind::kForbidden;
  if (yama::ptrace_scope().value_or(0) >= yama::kPrivileged) return AccessWarnings::Kind::kYama;
  // By what everybody may read: ns/user is refused along with the rest.
  if (is_in_another_user_namespace(tid).value_or(false))
    return AccessWarnings::Kind::kUserNamespace;
  return AccessWarnings::Kind::kIdentity;
}

}  // namespace

void AccessWarnings::warn_of(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  if (!status) return;  // the thread is gone: no warning is needed
  const Kind kind = kind_of(tid, status->tracer_pid);
  if (told_.at(static_cast<std::size_t>(kind)).test_and_set()) return;
  switch (kind) {
    case Kind::kTracer:
      spdlog::warn(
          "cannot map shared memory into process {} ({}): it is traced by process {} ({}), and a "
          "process has one tracer; its shmat fails with EACCES meanwhile",
          status->tgid, process_name(tid), status->tracer_pid, process_name(status->tracer_pid));
      break;
    case Kind::kForbidden:
      spdlog::warn(
          "cannot map shared memory into process {} ({}): a seccomp filter around shmvisor forbids "
          "ptrace(2), and shmat fails with EACCES; allow it there, see 'shmvisor check'",
          status->tgid, process_name(tid));
      break;
    case Kind::kYama:
      spdlog::warn(
          "cannot map shared memory into process {} ({}): kernel.yama.ptrace_scope forbids it, and "
          "shmat fails with EACCES; set it to 0 or 1, or to 2 and give shmvisor CAP_SYS_PTRACE",
          status->tgid, process_name(tid));
      break;
    case Kind::kUserNamespace:
      spdlog::warn(
          "cannot map shared memory into process {} ({}): it lives in a user namespace of its own, "
          "and its shmat fails with EACCES; give shmvisor CAP_SYS_PTRACE (--cap-add SYS_PTRACE)",
          status->tgid, process_name(tid));
      break;
    default:
      spdlog::warn(
          "cannot map shared memory into process {} ({}): it changed its user without an exec "
          "since, or made itself undumpable, and its shmat fails with EACCES; give shmvisor "
          "CAP_SYS_PTRACE (--cap-add SYS_PTRACE)",
          status->tgid, process_name(tid));
      break;
  }
}

}  // namespace shmvisor
