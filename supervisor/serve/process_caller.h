// ProcessCaller: the Caller behind a notification, read from the kernel when first asked for.
//
// The caller's credentials are read in two steps: ids by PIDFD_GET_INFO (Linux 6.13, 0.7 µs);
// groups and capabilities, which few decisions need, from /proc/TID/status (14 µs). If the tid was
// another thread's by then, the decision has no effect: a call changes neither the registry nor the
// caller's memory before the notification has said that its caller still waits (confirm()).
//
// Thread rule: the thread that received the call.
#pragma once

#include <memory>
#include <optional>

#include "emulation/syscalls/caller.h"
#include "supervisor/credentials/accountable_user.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_viewpoint.h"
#include "supervisor/credentials/user_namespace.h"
#include "supervisor/inject/remote_space.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/procfs/task_status.h"
#include "supervisor/scope/access_warnings.h"

namespace shmvisor {

/// What the callers of one listener share. All of it outlives every ProcessCaller.
struct CallerServices {
  ExpectedCalls& expected;
  KernelFeatures& features;
  AccessWarnings& access_warnings;
  Loans& loans;
  TracerPatience& tracer_patience;
};

class ProcessCaller : public Caller, private Subject {
 public:
  /// `owner`: of the registry that the call goes to. `call_page`: null if the caller gets none.
  /// `fails`: whether the call is what its caller has tried to complete by itself. `user`: the user
  /// who is accountable for the caller.
  ProcessCaller(PendingCall& call, KnownThread thread, std::shared_ptr<const NamespaceOwner> owner,
                const CallerServices& services, const CallPage* call_page, bool fails, uid_t user)
      : call_(call),
        thread_(std::move(thread)),
        owner_(std::move(owner)),
        viewpoint_(thread_.identity),
        features_(services.features),
        access_warnings_(services.access_warnings),
        space_(call, services.expected, services.features, services.access_warnings,
               call_page == nullptr
                   ? CallPageUse()
                   : CallPageUse{call_page, &thread_.identity->call_page_misses(),
                                 thread_.remembered && !fails, &services.loans,
                                 thread_.identity->unique(), user, &thread_.identity->site_calls()},
               {&services.tracer_patience, user}) {}

  Subject& subject() override { return *this; }
  Viewpoint& viewpoint() override { return viewpoint_; }
  PidRecord process() override { return viewpoint_.record(ids().tgid); }
  pid_t waiting_process() override { return thread_.ids ? thread_.ids->tgid : 0; }
  CreatorThread thread() override { return {call_.tid(), thread_.identity->unique()}; }
  std::uint64_t memlock_limit_bytes() override;
  MappingSpace& space() override { return space_; }
  uid_t account() override { return accountable_user(*thread_.identity, ids().uid); }
  Result<void> copy_from_user(std::uint64_t address, std::span<std::byte> bytes) override;
  Result<void> copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) override;

  void secure() override { space_.secure_answer(); }
  bool confirm(std::int64_t value) override;
  /// Whether we lacked descriptors or memory to read something of the caller. Then the decision
  /// must not be answered.
  [[nodiscard]] bool cannot_tell() const { return cannot_tell_ || viewpoint_.cannot_tell(); }
  /// Whether ptrace(2) was refused, so that the caller's memory could not be read, written or
  /// mapped.
  [[nodiscard]] bool is_out_of_reach() const {
    return memory_is_out_of_reach_ || space_.is_out_of_reach();
  }
  /// See RemoteSpace::restore_signal_mask().
  void restore_signal_mask() { space_.restore_signal_mask(); }

 private:
  uid_t uid() override { return ids().uid; }
  uid_t euid() override { return ids().euid; }
  gid_t egid() override { return ids().egid; }
  bool in_group(gid_t gid) override;
  bool capable(Capability capability) override;
  bool capable_over_machine(Capability capability) override;

  bool has_effective(Capability capability);
  /// The ids; groups and capabilities only if status() was called before.
  const TaskStatus& ids();
  const TaskStatus& status();
  /// The errno of a failed copy: ENOMEM for a shortage of ours, otherwise EFAULT. Warns the
  /// operator if the kernel refused the copy.
  Result<void> as_fault(const Result<void>& copied);

  PendingCall& call_;
  KnownThread thread_;
  const std::shared_ptr<const NamespaceOwner> owner_;
  ThreadViewpoint viewpoint_;
  KernelFeatures& features_;
  AccessWarnings& access_warnings_;
  RemoteSpace space_;
  std::optional<TaskStatus> ids_;
  bool complete_ = false;
  bool cannot_tell_ = false;
  bool memory_is_out_of_reach_ = false;
};

}  // namespace shmvisor
