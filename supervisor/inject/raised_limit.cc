#include "supervisor/inject/raised_limit.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// Beyond what the table has room for, which may be more than the limit allows by now.
constexpr rlim_t kRoom = 64;

Result<void> exchange_limit(pid_t pid, const rlimit* wanted, rlimit* found) {
  return with_identity_of(pid, kToTrace, [&]() -> Result<void> {
    if (::prlimit(pid, RLIMIT_NOFILE, wanted, found) != 0) return Errno::current();
    return {};
  });
}

/// The soft limit with which there is room. Precondition: the table is full.
rlim_t roomy(const rlimit& now, const TaskStatus& status) {
  const auto table = static_cast<rlim_t>(std::max(status.descriptor_table_size, 0));
  return std::max(now.rlim_cur, table) + kRoom;
}

}  // namespace

Result<RaisedLimit> RaisedLimit::of(StoppedThread& held) {
  const auto status = TaskStatus::read(held.tid());
  if (!status) return Errno(EPERM);
  const pid_t process = status->tgid;
  const auto threads = numbered_entries("/proc/" + std::to_string(process) + "/task");
  if (!threads || threads->size() != 1) return Errno(EPERM);
  rlimit before{};
  if (!exchange_limit(process, nullptr, &before)) return Errno(EPERM);
  if (before.rlim_cur >= before.rlim_max) return Errno(EPERM);
  const rlimit now{std::min(roomy(before, *status), before.rlim_max), before.rlim_max};
  held.die_with_us();
  if (!exchange_limit(process, &now, nullptr)) return Errno(EPERM);
  return RaisedLimit(process, before, now);
}

bool RaisedLimit::raise_for_good(pid_t pid) {
  const auto status = TaskStatus::read(pid);
  rlimit before{};
  if (!status || !exchange_limit(pid, nullptr, &before)) return false;
  const rlim_t soft = roomy(before, *status);
  const rlimit wanted{soft, std::max(soft, before.rlim_max)};
  if (exchange_limit(pid, &wanted, nullptr)) return true;
  if (before.rlim_cur >= before.rlim_max) return false;
  const rlimit allowed{std::min(soft, before.rlim_max), before.rlim_max};
  return exchange_limit(pid, &allowed, nullptr).ok();
}

RaisedLimit::~RaisedLimit() {
  if (process_ == 0) return;
  rlimit found{};
  // Else it is another process's change; or the number is another process's, and this one is dead.
  if (exchange_limit(process_, nullptr, &found) && found.rlim_cur == now_.rlim_cur &&
      found.rlim_max == now_.rlim_max) {
    (void)exchange_limit(process_, &before_, nullptr);
  }
}

}  // namespace shmvisor
