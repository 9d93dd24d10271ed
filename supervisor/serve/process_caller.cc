#include "supervisor/serve/process_caller.h"

#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "policy/base/held_locks.h"
#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/credentials/user_namespace.h"
#include "supervisor/resources/task_limit.h"
#include "supervisor/serve/caller_stack.h"

namespace shmvisor {
namespace {

TaskStatus nobody() {
  TaskStatus status;
  status.uid = status.euid = static_cast<uid_t>(-1);
  status.egid = status.fsgid = static_cast<gid_t>(-1);
  return status;
}

/// process_vm_readv(2) and process_vm_writev(2) stop at the first page that cannot be copied, and
/// honour its protection, as the kernel's own copies do.
/// Errors: EFAULT; EPERM where the caller is out of reach; and is_shortage().
template <typename Byte, typename Transfer>
Result<void> transfer(pid_t tid, std::uint64_t address, std::span<Byte> bytes,
                      Transfer system_call) {
  HeldLocks::assert_may_wait();
  iovec local{};
  local.iov_base = const_cast<std::byte*>(bytes.data());
  local.iov_len = bytes.size();
  iovec remote{};
  remote.iov_base = reinterpret_cast<void*>(address);  // an address of the caller's, not ours
  remote.iov_len = bytes.size();
  return with_identity_of(tid, kToTrace, [&]() -> Result<void> {
    const ssize_t moved = system_call(tid, &local, 1, &remote, 1, 0);
    if (moved < 0 && (errno == EPERM || is_shortage(Errno::current()))) return Errno::current();
    if (moved < 0 || static_cast<std::size_t>(moved) != bytes.size()) return Errno(EFAULT);
    return {};
  });
}

template <typename Byte, typename Transfer>
Result<void> transfer_all(pid_t tid, std::uint64_t address, std::span<Byte> bytes,
                          Transfer system_call, KernelFeatures& features) {
  if (copies_grow_stacks()) {
    const auto too_far = is_too_far_below_stack(tid, address, features);
    if (!too_far) return too_far.error();
    if (*too_far) return Errno(EFAULT);
  }
  const auto moved = transfer(tid, address, bytes, system_call);
  if (moved || moved.error() != Errno(EFAULT)) return moved;
  const auto grown = grow_stack(tid, address, features);
  if (!grown) return grown.error();
  if (!*grown) return moved;
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
  if (!read && is_shortage(read.error())) cannot_tell_ = true;
  ids_ = read ? std::move(*read) : nobody();
  return *ids_;
}

/// Groups that our user namespace does not map are all shown as the overflow gid. A right that
/// follows from that gid would belong to everybody who has any such group.
bool ProcessCaller::in_group(gid_t gid) {
  if (!is_unambiguous(gid)) return false;
  if (gid == ids().fsgid) return true;
  const auto& groups = status().groups;
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

bool ProcessCaller::has_effective(Capability capability) {
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(capability);
  return (status().effective_capabilities & bit) != 0;
}

bool ProcessCaller::capable(Capability capability) {
  return owner_->grants(thread_.identity->user_namespace(), has_effective(capability),
                        status().euid);
}

bool ProcessCaller::capable_over_machine(Capability capability) {
  return has_effective(capability) && is_first_user_namespace(thread_.identity->user_namespace());
}

bool ProcessCaller::confirm(std::int64_t value) {
  if (cannot_tell()) return false;
  // Only its death can keep the answer from the caller now: natively it dies after the call, too.
  if (space_.answer_is_secure()) {
    if (!call_.alive()) return false;
    call_.announce(value);
    return true;
  }
  return call_.answer(value);
}

std::uint64_t ProcessCaller::memlock_limit_bytes() {
  const auto limit = TaskLimit::read(call_.tid(), "Max locked memory");
  if (!limit && is_shortage(limit.error())) cannot_tell_ = true;
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
  if (is_shortage(copied.error())) return Errno(ENOMEM);
  if (copied.error() == Errno(EPERM)) {
    memory_is_out_of_reach_ = true;
    access_warnings_.warn_of(call_.tid());
  }
  return Errno(EFAULT);
}

}  // namespace shmvisor
