#include "supervisor/serve/process_caller.h"

#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "supervisor/process/borrowed_identity.h"
#include "supervisor/process/memory_map.h"
#include "supervisor/process/task_limit.h"
#include "supervisor/process/user_namespace.h"

namespace shmvisor {
namespace {

TaskStatus nobody() {
  TaskStatus status;
  status.uid = status.euid = static_cast<uid_t>(-1);
  status.egid = status.fsgid = static_cast<gid_t>(-1);
  return status;
}

/// process_vm_readv(2) and process_vm_writev(2) stop at the first page they cannot have, and honour
/// its protection, as the kernel's own copies do.
/// Errors: EFAULT; EPERM where the caller is out of reach.
template <typename Byte, typename Transfer>
Result<void> transfer(pid_t tid, std::uint64_t address, std::span<Byte> bytes,
                      Transfer system_call) {
  iovec local{};
  local.iov_base = const_cast<std::byte*>(bytes.data());
  local.iov_len = bytes.size();
  iovec remote{};
  remote.iov_base = reinterpret_cast<void*>(address);  // an address of the caller's, not ours
  remote.iov_len = bytes.size();
  return reach(tid, kToTrace, [&]() -> Result<void> {
    const ssize_t moved = system_call(tid, &local, 1, &remote, 1, 0);
    if (moved < 0 && errno == EPERM) return Errno(EPERM);
    if (moved < 0 || static_cast<std::size_t>(moved) != bytes.size()) return Errno(EFAULT);
    return {};
  });
}

/// The kernel's own copies grow a stack where they reach below it; process_vm_readv(2) does not,
/// and reading /proc/PID/mem does (__access_remote_vm() of mm/memory.c), as far as *our*
/// RLIMIT_STACK allows. Whether there may be something now that was not.
bool grow_stack(pid_t tid, std::uint64_t address, KernelFeatures& features) {
  // Where something is mapped its rights refused the copy, and reading would bring in a page.
  auto map = MemoryMap::open(tid, features);
  const auto above = map ? map->area_above(address, Areas::kAll) : Errno(ESRCH);
  if (!above || !*above || (*above)->range.start <= address) return false;
  rlimit ours{};
  const auto theirs = TaskLimit::read(tid, "Max stack size");
  if (!theirs || ::getrlimit(RLIMIT_STACK, &ours) != 0 || theirs->soft < ours.rlim_cur) {
    return false;
  }
  const auto memory = reach_proc_file(tid, "mem");
  std::byte first{};
  return memory && ::pread(memory->get(), &first, 1, static_cast<off_t>(address)) == 1;
}

template <typename Byte, typename Transfer>
Result<void> transfer_all(pid_t tid, std::uint64_t address, std::span<Byte> bytes,
                          Transfer system_call, KernelFeatures& features) {
  const auto moved = transfer(tid, address, bytes, system_call);
  if (moved || moved.error() != Errno(EFAULT) || !grow_stack(tid, address, features)) {
    return moved;
  }
  return transfer(tid, address, bytes, system_call);
}

}  // namespace

const TaskStatus& ProcessCaller::ids() {
  if (!ids_ && thread_.ids) ids_ = *thread_.ids;
  return ids_ ? *ids_ : status();
}

const TaskStatus& ProcessCaller::status() {
  if (complete_) return *ids_;
  complete_ = true;
  auto read = TaskStatus::read(call_.tid());
  ids_ = read ? std::move(*read) : nobody();
  return *ids_;
}

bool ProcessCaller::in_group(gid_t gid) {
  if (gid == ids().fsgid) return true;
  const auto& groups = status().groups;
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

bool ProcessCaller::capable(Capability capability) {
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(capability);
  const bool has_effective = (status().effective_capabilities & bit) != 0;
  return owner_->grants(thread_.identity->user_namespace(), has_effective, status().euid);
}

std::uint64_t ProcessCaller::memlock_limit_bytes() {
  const auto limit = TaskLimit::read(call_.tid(), "Max locked memory");
  return limit ? limit->soft : 0;
}

Result<void> ProcessCaller::copy_from_user(std::uint64_t address, std::span<std::byte> bytes) {
  const auto copied = transfer_all(call_.tid(), address, bytes, ::process_vm_readv, features_);
  if (!call_.alive()) return Errno(EFAULT);
  return as_fault(copied);
}

Result<void> ProcessCaller::copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) {
  if (!call_.alive()) return Errno(EFAULT);
  return as_fault(transfer_all(call_.tid(), address, bytes, ::process_vm_writev, features_));
}

Result<void> ProcessCaller::as_fault(const Result<void>& copied) {
  if (copied) return {};
  if (copied.error() == Errno(EPERM)) refusals_.warn_of(call_.tid());
  return Errno(EFAULT);
}

}  // namespace shmvisor
