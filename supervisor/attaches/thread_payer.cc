#include "supervisor/attaches/thread_payer.h"

#include <sys/stat.h>

#include <string>

#include "supervisor/procfs/task_status.h"

namespace shmvisor {

/// By the user id alone, which /proc tells of any process at once: its namespaces cannot be read
/// while it is in an exec, and such a process is why threads are lost.
LosableThreads::Payer payer_of(std::uintptr_t group, pid_t pid) {
  // The owner of the folder is the process's effective user, but root where it is not dumpable
  // (task_dump_owner() of fs/proc/base.c): asked for each process of a count while any thread is
  // lost, so cheaply.
  struct stat folder {};
  if (::stat(("/proc/" + std::to_string(pid)).c_str(), &folder) == 0 && folder.st_uid != 0) {
    return {group, folder.st_uid};
  }
  const auto status = TaskStatus::read(pid);
  return {group, status ? status->euid : static_cast<uid_t>(-1)};
}

}  // namespace shmvisor
