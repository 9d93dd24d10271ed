#include "supervisor/credentials/thread_viewpoint.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <sstream>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/credentials/user_namespace.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

constexpr std::uint32_t kNoId = ~std::uint32_t{0};

/// The pid namespaces from the thread's own outwards, ours excluded; those that can be seen.
Result<std::vector<std::uint64_t>> inner_pid_namespaces(pid_t tid) {
  std::vector<std::uint64_t> chain;
  auto own = open_namespace(tid, Namespace::kPid);
  if (!own && is_shortage(own.error())) return own.error();
  UniqueFd at(own ? std::move(*own) : UniqueFd());
  while (at.valid() && inode_of(at) != NamespaceIds::ours().pid) {
    chain.push_back(inode_of(at));
    // Not reset(), whose close(2) could change errno.
    UniqueFd parent(::ioctl(at.get(), NS_GET_PARENT));
    if (!parent.valid() && is_shortage(Errno::current())) return Errno::current();
    at = std::move(parent);
  }
  return chain;
}

/// "NStgid:" of /proc/TID/status: the numbers of the process from our namespace inwards.
Result<std::vector<pid_t>> namespace_pids(pid_t tid) {
  std::vector<pid_t> pids;
  const auto text = read_proc_file(tid, "status");
  if (!text && is_shortage(text.error())) return text.error();
  const std::size_t at = text ? text->find("\nNStgid:") : std::string::npos;
  if (at == std::string::npos) return pids;
  std::istringstream line(text->substr(at + 8, text->find('\n', at + 1) - at - 8));
  for (pid_t pid = 0; line >> pid;) pids.push_back(pid);
  return pids;
}

}  // namespace

Result<PidRecord> record_process(pid_t tid, pid_t tgid) {
  const auto known_namespaces = inner_pid_namespaces(tid);
  if (!known_namespaces) return known_namespaces.error();
  if (known_namespaces->empty()) return PidRecord{tgid, nullptr};
  const auto known_pids = namespace_pids(tid);
  if (!known_pids) return known_pids.error();
  const std::vector<std::uint64_t>& namespaces = *known_namespaces;
  const std::vector<pid_t>& pids = *known_pids;
  auto inner = std::make_shared<std::vector<PidRecord::Inner>>();
  // Both end at the innermost: namespaces[0] and the last of pids.
  for (std::size_t i = 0; i < namespaces.size() && i < pids.size(); ++i) {
    inner->push_back({namespaces[i], pids[pids.size() - 1 - i]});
  }
  return PidRecord{tgid, std::move(inner)};
}

const ThreadViewpoint::IdMap* ThreadViewpoint::map(std::optional<IdMap>& cache, const char* name) {
  const std::uint64_t theirs = thread_->user_namespace();
  if (theirs == 0 || theirs == NamespaceIds::ours().user) return nullptr;
  if (cache) return &*cache;
  cache.emplace();
  const auto text = read_proc_file(thread_->tid(), name);
  if (!text && is_shortage(text.error())) cannot_tell_ = true;
  if (text) {
    std::istringstream lines(*text);
    for (Extent extent; lines >> extent.inside >> extent.outside >> extent.count;) {
      cache->push_back(extent);
    }
  }
  return &*cache;
}

std::uint32_t ThreadViewpoint::show(const IdMap* map, std::uint32_t id) {
  if (map == nullptr) return id;
  for (const Extent& extent : *map) {
    if (id - extent.outside < extent.count) return extent.inside + (id - extent.outside);
  }
  return kOverflowId;
}

std::optional<std::uint32_t> ThreadViewpoint::mean(const IdMap* map, std::uint32_t shown) {
  if (shown == kNoId) return std::nullopt;
  if (map == nullptr) return shown;
  for (const Extent& extent : *map) {
    if (shown - extent.inside < extent.count) return extent.outside + (shown - extent.inside);
  }
  return std::nullopt;
}

uid_t ThreadViewpoint::show_uid(uid_t uid) { return show(map(uid_map_, "uid_map"), uid); }
gid_t ThreadViewpoint::show_gid(gid_t gid) { return show(map(gid_map_, "gid_map"), gid); }
std::optional<uid_t> ThreadViewpoint::mean_uid(uid_t shown) {
  return mean(map(uid_map_, "uid_map"), shown);
}
std::optional<gid_t> ThreadViewpoint::mean_gid(gid_t shown) {
  return mean(map(gid_map_, "gid_map"), shown);
}

pid_t ThreadViewpoint::show_pid(const PidRecord& process) {
  const std::uint64_t theirs = thread_->pid_namespace();
  if (theirs == 0 || theirs == NamespaceIds::ours().pid) return process.pid;
  if (process.inner == nullptr) return 0;
  for (const PidRecord::Inner& inner : *process.inner) {
    if (inner.pid_namespace == theirs) return inner.pid;
  }
  return 0;
}

PidRecord ThreadViewpoint::record(pid_t tgid) {
  const std::uint64_t theirs = thread_->pid_namespace();
  if (theirs == 0 || theirs == NamespaceIds::ours().pid) return {tgid, nullptr};
  auto recorded = record_process(thread_->tid(), tgid);
  if (recorded) return std::move(*recorded);
  cannot_tell_ = true;
  return {tgid, nullptr};
}

}  // namespace shmvisor
