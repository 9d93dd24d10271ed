// Command: starts the program under the filter and fetches the listener from it.
//
// The child installs the filter on itself and then needs the parent to take the listener before it
// execs. The parent takes it with pidfd_getfd(2), or where that is refused (common container
// profiles allow it only with CAP_SYS_PTRACE) the child sends it over the socket between them. The
// FUSE connection of the files in /proc is fetched the same way; its owner must serve or close it
// before wait_for_exec(). The child waits for go_on().
//
// Until its exec the child has none of our descriptors, and is killed when we end
// (PR_SET_PDEATHSIG), so that we may be killed at any moment. The kernel sends that signal when the
// thread that called start() ends.
//
// Errors come as a Failure: a sentence for the user that says what to do. Thread rule: start()
// before there are threads, on one that ends last.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/launch/inherited_state.h"
#include "supervisor/notify/listener.h"
#include "supervisor/procfiles/proc_mounts.h"

namespace shmvisor {

/// Why the command does not run, and the exit status for it.
struct Failure {
  int exit_status = 0;
  std::string message;
};

/// The IPC namespace that the command starts in: ours, or one that the child makes, in its user
/// namespace. Where it may not, the command stays in ours.
enum class IpcOf : std::uint8_t { kSupervisor, kCommand };

class Command {
 public:
  /// `meanwhile`: run while the child gets ready.
  static Result<Command, Failure> start(
      const std::vector<std::string>& arguments, std::span<const sock_filter> filter,
      const InheritedState& inherited, ProcMounts& mounts, KernelFeatures& features,
      IpcOf ipc_of = IpcOf::kSupervisor, const std::function<void()>& meanwhile = [] {});

  /// One that runs already, and that another program of this process has started.
  struct Running {
    pid_t pid = 0;
    std::string name;
    int listener = -1;
    WaitKind wait_kind = WaitKind::kUnknown;
    int connection = -1;     ///< of the files in /proc; -1: none
    int ipc_namespace = -1;  ///< its own; -1: none
  };
  explicit Command(const Running& running)
      : pid_(running.pid),
        name_(running.name),
        listener_(running.listener),
        wait_kind_(running.wait_kind),
        connection_(running.connection),
        made_ipc_(running.ipc_namespace >= 0),
        known_ipc_(running.ipc_namespace) {}

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// The listener; the owner is the caller from now on.
  [[nodiscard]] UniqueFd take_listener() { return std::move(listener_); }
  /// How the command's callers wait for their answers.
  [[nodiscard]] WaitKind wait_kind() const { return wait_kind_; }
  /// The connection of the files in /proc; the owner is the caller from now on. Invalid without
  /// files.
  [[nodiscard]] int connection_fd() const { return connection_.get(); }
  [[nodiscard]] UniqueFd take_connection() { return std::move(connection_); }
  /// Whether the child waits for a file system that another shmvisor makes; take_mount() before
  /// go_on().
  [[nodiscard]] bool wants_mount() const { return wants_mount_; }
  void take_mount(UniqueFd mount, const ProcMountFailure& missing) {
    mount_ = std::move(mount);
    missing_mount_ = missing;
  }
  /// Where no other shmvisor made it after all: makes it, for us to serve. `user_namespace`: the
  /// child's, invalid where it is ours.
  void make_mount(const UniqueFd& user_namespace);
  /// An open file of the IPC namespace that the child made; invalid without one.
  [[nodiscard]] UniqueFd ipc_namespace() const;
  /// Why the child made none; nothing where it made one, or was not to.
  [[nodiscard]] const std::optional<Errno>& ipc_refused() const { return ipc_refused_; }
  /// Lets the child go on to its exec; once more does no harm. Precondition: the descriptors were
  /// taken.
  void go_on();
  /// Waits until the program runs, or could not be executed. Before that the child may be stopped
  /// or killed like any process: `wait_readable` handles that while it waits for a descriptor.
  /// Where this was asked before, a program that could not be executed may be taken for one that
  /// runs.
  std::optional<Failure> wait_for_exec(const std::function<void(int)>& wait_readable = [](int) {});
  /// Why the command runs without files in /proc that were wanted but not demanded.
  [[nodiscard]] const ProcMountFailure& missing_in_proc() const { return missing_in_proc_; }

  /// Nothing more is to be heard from the child.
  void leave() { socket_.reset(); }

 private:
  Command(pid_t pid, UniqueFd socket, std::string name)
      : pid_(pid), socket_(std::move(socket)), name_(std::move(name)) {}

  pid_t pid_;
  UniqueFd socket_;
  std::string name_;
  UniqueFd listener_;
  WaitKind wait_kind_ = WaitKind::kUnknown;
  UniqueFd connection_;
  bool wants_mount_ = false;
  bool made_ipc_ = false;
  int known_ipc_ = -1;  ///< that namespace, where it is open already; not ours to close
  std::optional<Errno> ipc_refused_;
  UniqueFd mount_;
  ProcMountFailure missing_mount_;
  ProcMountFailure missing_in_proc_;
};

}  // namespace shmvisor
