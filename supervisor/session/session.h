// Session: one set of segments, and all that is needed to serve it: whose processes use it, their
// registries, the machine as they see it, their shares, what is mapped into callers.
//
// `run` has one, which the commands that join have as well; the agent has one for each group of
// containers. What goes on of itself there is an Upkeep's.
//
// Ownership: a session is owned together by all who use it: each server and each task that looks
// after it holds it for as long as it may need it. It owns what it lends. Thread rule: made by the
// main thread; what it lends has its own rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "emulation/shm/registries.h"
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

class Session {
 public:
  /// Of a command of ours: its initial registry is that of our own IPC namespace, it may have all
  /// descriptors that there are, and its callers have a filter of ours.
  static std::shared_ptr<Session> of_command(std::shared_ptr<SessionResources> resources,
                                             const Limits& limits, const MemoryPolicy& memory = {});
  /// Of processes that others start, under filters of theirs: one of many sessions. `number`: no
  /// other session's.
  static std::shared_ptr<Session> of_others(std::shared_ptr<SessionResources> resources,
                                            const Limits& limits, std::uint32_t number);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] KernelFeatures& features() { return resources_->features; }
  [[nodiscard]] const DescriptorPlan& plan() const { return resources_->plan; }
  [[nodiscard]] JointScope& scope() { return scope_; }
  [[nodiscard]] DescriptorShare& descriptors() { return descriptors_; }
  [[nodiscard]] Registries& registries() { return registries_; }
  [[nodiscard]] IpcNamespaces& namespaces() { return namespaces_; }
  /// How a listener of this session is served, as far as the session tells.
  [[nodiscard]] ServerOptions server_options();
  /// Files in /proc of a command that was started in `home` (null: in our own IPC namespace). They
  /// borrow the session.
  [[nodiscard]] std::unique_ptr<ProcFileSystem> make_files(std::shared_ptr<IpcHome> home = nullptr);

  // For Upkeep, all but sweep() from its loop:

  /// Whether only looking tells of segments that nobody maps any more.
  [[nodiscard]] bool needs_settling() { return machine_.release_watch().needs_polling(); }
  /// Whether there are namespaces that may be over some time.
  [[nodiscard]] bool needs_sweeping() const { return namespaces_.need_sweeping(); }
  /// `told` is called when one of these becomes so, by any thread, with locks held. Before anything
  /// is served.
  void tell_of_need(const std::function<void()>& told);
  /// Whether something was noted of segments that settle() has not seen to yet.
  [[nodiscard]] bool has_news() { return machine_.release_watch().has_news(); }
  /// Lets go of segments that nobody maps any more, of many a part.
  void settle() { registries_.files().settle(); }
  /// Forgets namespaces that are over. Takes as long as the processes like: not for a main loop.
  void sweep() { namespaces_.sweep(); }
  /// A sweep that is under way ends soon, and there is no other.
  void stop_sweeping() { namespaces_.stop_sweeping(); }

 private:
  enum class Of : std::uint8_t { kCommand, kOthers };

  Session(Of of, std::shared_ptr<SessionResources> resources, const Limits& limits,
          const MemoryPolicy& memory, std::uint32_t number);

  const std::shared_ptr<SessionResources> resources_;
  const std::uint32_t number_;
  JointScope scope_;
  DescriptorShare descriptors_;
  Machine machine_;
  Registries registries_;
  IpcNamespaces namespaces_;
  const std::shared_ptr<OpenFileShares> open_file_shares_;
  const std::unique_ptr<const CallPage> call_page_;  ///< null: none
};

}  // namespace shmvisor
