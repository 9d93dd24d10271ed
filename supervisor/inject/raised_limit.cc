#include "supervisor/inject/raised_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// Beyond what the table has room for, which may be more than the limit allows by now.
constexpr rlim_t kRoom = 64;

struct Raised {
  pid_t process = 0;
  int users = 0;
  rlimit before{};
  rlimit now{};
};

/// The processes whose limit is raised. Nothing under the lock waits for a process.
Mutex raised_mutex;
std::vector<Raised>& raised_processes() REQUIRES(raised_mutex) {
  static auto* const all = new std::vector<Raised>;  // NOLINT: threads may use it at our end
  return *all;
}

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
  const MutexLock lock(raised_mutex);
  auto& all = raised_processes();
  const auto known = std::ranges::find(all, process, &Raised::process);
  if (known != all.end()) {
    held.die_with_us();
    ++known->users;
    return RaisedLimit(process);
  }
  Raised raised{process, 1};
  if (const auto read = exchange_limit(process, nullptr, &raised.before); !read)
    return Errno(EPERM);
  if (raised.before.rlim_cur >= raised.before.rlim_max) return Errno(EPERM);
  raised.now = {std::min(roomy(raised.before, *status), raised.before.rlim_max),
                raised.before.rlim_max};
  try {
    all.reserve(all.size() + 1);
  } catch (const std::bad_alloc&) {
    return Errno(EPERM);
  }
  held.die_with_us();
  if (const auto set = exchange_limit(process, &raised.now, nullptr); !set) return Errno(EPERM);
  all.push_back(raised);
  return RaisedLimit(process);
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
  const MutexLock lock(raised_mutex);
  auto& all = raised_processes();
  const auto raised = std::ranges::find(all, process_, &Raised::process);
  if (--raised->users > 0) return;
  rlimit found{};
  // Else it is another thread's change; or the number is another process's, and this one is dead.
  if (exchange_limit(process_, nullptr, &found) && found.rlim_cur == raised->now.rlim_cur &&
      found.rlim_max == raised->now.rlim_max) {
    (void)exchange_limit(process_, &raised->before, nullptr);
  }
  all.erase(raised);
}

}  // namespace shmvisor
