#include "supervisor/launch/restore_file.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <sstream>
#include <string>

#include "supervisor/credentials/thread_viewpoint.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/session/registry_restore.h"

namespace shmvisor {
namespace {

/// Whether our own user namespace has an id: /proc/self/uid_map or gid_map, whose first column is
/// ours where we read it.
bool is_in(const std::string& map, std::uint32_t id) {
  std::istringstream lines(map);
  for (std::uint32_t inside = 0, outside = 0, count = 0; lines >> inside >> outside >> count;) {
    if (id - inside < count) return true;
  }
  return false;
}

Result<std::size_t, std::string> restore(const Launched& launched, Registry& registry) {
  const RunOptions& options = launched.options;
  const auto users = read_proc_file(::getpid(), "uid_map");
  const auto groups = read_proc_file(::getpid(), "gid_map");
  if (!users || !groups) return std::string("cannot be restored: /proc/self/uid_map is hidden");
  // Ids that a namespace lacks it shows as another one, which does not mean them.
  ThreadViewpoint command(
      std::make_shared<ThreadIdentity>(launched.command.pid(), UniqueFd(), /*unique=*/0));
  auto file = saved::StateReader::open(options.restore_path);
  if (!file) return file.error();
  RestoreOrder order;
  order.limits = options.limits_set;
  if (options.cleanup_set) order.rmid_forced = options.cleanup == CleanupMode::kRmidForced;
  order.knows_user = [&](uid_t user) {
    return is_in(*users, user) && command.mean_uid(command.show_uid(user)) == user;
  };
  order.knows_group = [&](gid_t group) {
    return is_in(*groups, group) && command.mean_gid(command.show_gid(group)) == group;
  };
  auto restored = restore_registry(*file, registry, order);
  if (command.cannot_tell()) return std::string("cannot be restored: descriptors are short");
  return restored;
}

}  // namespace

std::optional<Failure> restore_file(const Launched& launched, Registry& registry) {
  const std::string& path = launched.options.restore_path;
  if (path.empty()) return std::nullopt;
  std::string trouble;
  try {
    const auto restored = restore(launched, registry);
    if (restored) {
      spdlog::info("--restore: {} segments of {}", *restored, path);
      return std::nullopt;
    }
    trouble = restored.error();
  } catch (const std::bad_alloc&) {
    trouble = "needs more memory than there is";
  }
  return Failure{exit_status::kOwnFailure, "--restore: " + path + " " + trouble};
}

}  // namespace shmvisor
