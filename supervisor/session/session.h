// Session: one set of segments, and all that is needed to serve it: the scope of its processes, its
// registries, its machine, its shares of our resources, its call page.
//
// `run` has one session, which it shares with the commands that join; the agent has one for each
// group of containers. Upkeep does the work that no call asks for.
//
// Ownership: each server and each upkeep task shares the session for as long as it may need it. The
// session owns the objects that its members return. Thread rule: made by the main thread; the
// returned objects have rules of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "emulation/shm/registries.h"
#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "policy/limits/limits.h"
#include "policy/limits/memory_policy.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/memory/machine.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/procfiles/open_file_shares.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/scope/joint_scope.h"
#include "supervisor/serve/server_options.h"
#include "supervisor/session/session_resources.h"

namespace shmvisor {

class Session : private CleanupObserver {
 public:
  /// For a command that we start: the initial registry is that of the command's IPC namespace `ipc`
  /// (invalid: our own), the session may use all descriptors of the pool, and its callers have our
  /// filter.
  static std::shared_ptr<Session> of_command(std::shared_ptr<SessionResources> resources,
                                             const Limits& limits, const MemoryPolicy& memory = {},
                                             UniqueFd ipc = UniqueFd());
  /// For processes that an OCI runtime starts under its own filters, beside other sessions.
  /// `number` is unique in this process.
  static std::shared_ptr<Session> of_others(std::shared_ptr<SessionResources> resources,
                                            const Limits& limits, std::uint32_t number);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() override;

  [[nodiscard]] KernelFeatures& features() { return resources_->features; }
  [[nodiscard]] const DescriptorPlan& plan() const { return resources_->plan; }
  [[nodiscard]] CallTally& tally() { return resources_->tally; }
  /// Unique among the sessions of this process.
  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] JointScope& scope() { return scope_; }
  [[nodiscard]] DescriptorShare& descriptors() { return descriptors_; }
  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] Registries& registries() { return registries_; }
  [[nodiscard]] IpcNamespaces& namespaces() { return namespaces_; }
  [[nodiscard]] const IpcNamespaces& namespaces() const { return namespaces_; }
  /// The options for a server of this session; the caller adds those of the listener.
  [[nodiscard]] ServerOptions server_options();
  /// Files in /proc of a command that was started in `home` (null: in our own IPC namespace). They
  /// borrow the session.
  [[nodiscard]] std::unique_ptr<ProcFileSystem> make_files(std::shared_ptr<IpcHome> home = nullptr);

  /// Takes over what the operator changed. `own`: limits of this session that the configuration
  /// does not change. May throw std::bad_alloc, before the limits of a registry change; then call
  /// it again. The main thread.
  void steer(const Steering& steering, const LimitSettings& own = {});

  /// The limits that steer() took over last: in force, or about to be. Null: none. Any thread.
  [[nodiscard]] std::shared_ptr<const UserLimits> user_limits() const {
    const MutexLock lock(user_limits_mutex_);
    return user_limits_;
  }

  // For Upkeep. All but sweep() are called from its loop:

  /// Whether segments that are no longer mapped can only be found by looking, not by events.
  [[nodiscard]] bool needs_settling() { return machine_.release_watch().needs_polling(); }
  /// Whether there are namespaces that may end.
  [[nodiscard]] bool needs_sweeping() const { return namespaces_.need_sweeping(); }
  /// Whether a thread has left such a namespace since the last sweep began.
  [[nodiscard]] bool has_left_namespace() const { return namespaces_.has_left(); }
  /// `told` is called when one of these three becomes true, in any thread, with locks held. To be
  /// set before any call is served.
  void tell_of_need(const std::function<void()>& told);
  /// Whether there are events of segments that settle() has not handled yet.
  [[nodiscard]] bool has_news() { return machine_.release_watch().has_news(); }
  /// Frees segments that are no longer mapped; if there are many, a part of them.
  void settle() { registries_.files().settle(); }
  /// Forgets namespaces that have ended. The served processes can make this take as long as they
  /// like: not for a main loop.
  void sweep() { namespaces_.sweep(); }
  /// Ends a running sweep soon; later ones do nothing.
  void stop_sweeping() { namespaces_.stop_sweeping(); }

 private:
  enum class Of : std::uint8_t { kCommand, kOthers };

  Session(Of of, std::shared_ptr<SessionResources> resources, const Limits& limits,
          const MemoryPolicy& memory, std::uint32_t number, UniqueFd ipc);

  void set_user_limits(const std::shared_ptr<const UserLimits>& limits);
  /// Tells the clients that follow calls.
  void cleaned(const CleanedSegment& segment) noexcept override;

  const std::shared_ptr<SessionResources> resources_;
  const std::uint32_t number_;
  JointScope scope_;
  DescriptorShare descriptors_;
  Machine machine_;
  Registries registries_;
  IpcNamespaces namespaces_;
  const std::shared_ptr<OpenFileShares> open_file_shares_;
  const std::unique_ptr<const CallPage> call_page_;  ///< null: none
  mutable Mutex user_limits_mutex_;
  std::shared_ptr<const UserLimits> user_limits_ GUARDED_BY(user_limits_mutex_);
};

}  // namespace shmvisor
