#include "supervisor/launch/command.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "policy/base/held_locks.h"
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/seccomp_install.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/launch/end_child.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/own_capability.h"
#include "supervisor/procfiles/fuse_mount.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// What child and parent tell each other. The child's end closes when it execs.
enum class Step : int {
  kListener,
  kTakeAway,
  kGoOn,
  kNoNewPrivs,
  kFilter,
  kProc,           ///< something in /proc is missing that was demanded
  kMissingInProc,  ///< the same, and the command runs without it
  kExec,
};
struct Message {
  Step step = Step::kListener;
  int value = 0;             ///< a descriptor's number, or an errno
  int connection = -1;       ///< with kListener: another descriptor's number, or none
  bool wants_mount = false;  ///< with kListener
  ProcMountFailure missing = {};
  WaitKind wait_kind = WaitKind::kUnknown;  ///< with kListener
  int ipc_errno = 0;  ///< with kListener: why the child has no IPC namespace of its own
};

std::optional<Message> receive_step(int socket, UniqueFd* descriptor = nullptr) {
  Message message;
  auto received = receive_message(socket, message);
  if (!received) return std::nullopt;
  if (descriptor != nullptr) *descriptor = std::move(received->at(0));
  return message;
}

/// Without CAP_SYS_ADMIN the kernel wants no_new_privs before a filter (seccomp(2)); with it,
/// setuid programs keep working.
bool needs_no_new_privs() { return !has_own_capability(CAP_SYS_ADMIN); }

struct Filter {
  std::span<const sock_filter> program;
  bool no_new_privs = false;
  bool wait_killable_recv = true;

  /// Says in `wait_kind` how callers will wait.
  [[nodiscard]] Result<UniqueFd> install(WaitKind& wait_kind) const {
    if (wait_killable_recv) {
      wait_kind = WaitKind::kKillable;
      auto listener = install_filter(program, {.wait_killable_recv = true});
      if (listener || listener.error() != Errno(EINVAL)) return listener;
    }
    wait_kind = WaitKind::kInterruptible;
    return install_filter(program, {.wait_killable_recv = false});
  }
};

/// Descriptors of ours that the child has no use for, in the order of their numbers. None of what
/// we inherited is among them: that is not close-on-exec.
std::vector<int> own_descriptors(std::initializer_list<int> needed) {
  std::vector<int> own;
  const auto all = numbered_entries("/proc/self/fd");
  if (!all) return own;
  for (const int fd : *all) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (fd <= STDERR_FILENO || flags < 0 || (flags & FD_CLOEXEC) == 0) continue;
    if (std::find(needed.begin(), needed.end(), fd) == needed.end()) own.push_back(fd);
  }
  return own;
}

/// The child's way to its exec. Never returns. Async-signal-safe.
[[noreturn]] void become_command(int socket, char* const* arguments, const Filter& filter,
                                 const InheritedState& inherited, ProcMounts& mounts, IpcOf ipc_of,
                                 const std::vector<int>& not_theirs) {
  // The parent may be killed at any time, and whatever this child waits for then must end: it
  // dies with it. Should the parent be dead already, the socket says so, whose other end nobody
  // holds any more.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  for (const int fd : not_theirs) ::close(fd);
  const auto give_up = [socket](Step step, int error, int status) {
    (void)send_message(socket, Message{step, error});
    ::_exit(status);
  };
  const auto tell_missing = [socket, &mounts](const ProcMountFailure& missing) {
    const bool required = mounts.required(missing);
    const Step step = required ? Step::kProc : Step::kMissingInProc;
    (void)send_message(socket, Message{.step = step, .missing = missing});
    if (required) ::_exit(exit_status::kOwnFailure);
  };
  if (filter.no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    give_up(Step::kNoNewPrivs, errno, exit_status::kOwnFailure);
  }
  // Before the filter, which would ask us about every unshare(2).
  if (const auto missing = mounts.prepare(); missing.failed()) tell_missing(missing);
  // In the new user namespace, if there is one; and before our files are mounted over those that
  // /proc/sys shows in this IPC namespace.
  const bool refused = ipc_of == IpcOf::kCommand && ::unshare(CLONE_NEWIPC) != 0;
  const int ipc_errno = refused ? errno : 0;
  // A new user namespace may have cleared it: commit_creds() of kernel/cred.c.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const int connection = mounts.connection().get();
  WaitKind wait_kind = WaitKind::kKillable;
  const Result<UniqueFd> listener = filter.install(wait_kind);
  if (!listener) give_up(Step::kFilter, listener.error().value(), exit_status::kOwnFailure);

  const Message named{Step::kListener, listener->get(), connection, mounts.wants_mount(), {},
                      wait_kind,       ipc_errno};
  (void)send_message(socket, named);
  UniqueFd mount;
  std::optional<Message> reply = receive_step(socket, &mount);
  if (reply && reply->step == Step::kTakeAway) {
    const std::array fds{listener->get(), connection};
    if (!send_message(socket, named, std::span(fds).first(connection >= 0 ? 2 : 1))) {
      ::_exit(exit_status::kOwnFailure);
    }
    reply = receive_step(socket, &mount);
  }
  if (!reply || reply->step != Step::kGoOn) ::_exit(exit_status::kOwnFailure);

  if (mounts.wants_mount() && !mount.valid()) {
    tell_missing(reply->missing.failed()
                     ? reply->missing
                     : ProcMountFailure{ProcMountFailure::Step::kServe, EPROTO});
  }
  if (mount.valid()) mounts.take_mount(std::move(mount));
  mounts.leave_connection();
  if (const auto missing = mounts.attach(); missing.failed()) tell_missing(missing);
  mounts.close();
  inherited.restore();
  ::execvp(arguments[0], arguments);
  const int error = errno;
  give_up(Step::kExec, error,
          error == ENOENT ? exit_status::kNotFound : exit_status::kNotExecutable);
  ::_exit(exit_status::kOwnFailure);
}

Failure explain(const Message& message, const std::string& name) {
  const std::string reason = std::strerror(message.value);
  switch (message.step) {
    case Step::kExec:
      return {message.value == ENOENT ? exit_status::kNotFound : exit_status::kNotExecutable,
              "cannot run '" + name + "': " + reason};
    case Step::kFilter:
      switch (message.value) {
        case EBUSY:
          return {exit_status::kOwnFailure,
                  "already supervised: a seccomp filter of this process has a notification "
                  "listener, and the kernel allows one; run the command without another shmvisor "
                  "or OCI listener around it"};
        case EINVAL:
          return {exit_status::kOwnFailure,
                  "this kernel has no seccomp user notification; Linux 5.10 or newer is needed, "
                  "see 'shmvisor check'"};
        default:
          return {exit_status::kOwnFailure,
                  "cannot install the seccomp filter: " + reason + "; see 'shmvisor check'"};
      }
    case Step::kNoNewPrivs:
      return {exit_status::kOwnFailure, "cannot set no_new_privs: " + reason};
    case Step::kProc:
      return {exit_status::kOwnFailure, message.missing.advice()};
    default:
      return {exit_status::kOwnFailure, "the child did not follow the start protocol"};
  }
}

Failure own_failure(const std::string& what, int error) {
  return {exit_status::kOwnFailure, what + ": " + std::strerror(error)};
}

/// pidfd_getfd(2); invalid where it is refused.
UniqueFd take_from(pid_t pid, int number, KernelFeatures& features) {
  HeldLocks::assert_may_wait();
  if (!features.usable(KernelFeature::kPidfdGetfd)) return UniqueFd();
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), number, 0)));
  if (!taken.valid()) features.mark_absent(KernelFeature::kPidfdGetfd);
  return taken;
}

/// Fetches the descriptors that the child named; false where it could not be done.
bool fetch(pid_t pid, int socket, const Message& named, KernelFeatures& features,
           UniqueFd& listener, UniqueFd& connection) {
  const bool both = named.connection >= 0;
  listener = take_from(pid, named.value, features);
  if (both) connection = take_from(pid, named.connection, features);
  if (!listener.valid() || (both && !connection.valid())) {
    (void)send_message(socket, Message{Step::kTakeAway, 0});
    Message again;
    if (auto received = receive_message(socket, again)) {
      listener = std::move(received->at(0));
      connection = std::move(received->at(1));
    }
  }
  return listener.valid() && (!both || connection.valid());
}

/// The next message that is more than a remark.
std::optional<Message> receive_step(int socket, ProcMountFailure& missing_in_proc,
                                    const std::function<void(int)>& wait_readable) {
  for (;;) {
    wait_readable(socket);
    auto message = receive_step(socket);
    if (!message || message->step != Step::kMissingInProc) return message;
    missing_in_proc = message->missing;
  }
}

}  // namespace

Result<Command, Failure> Command::start(const std::vector<std::string>& arguments,
                                        std::span<const sock_filter> filter,
                                        const InheritedState& inherited, ProcMounts& mounts,
                                        KernelFeatures& features, IpcOf ipc_of,
                                        const std::function<void()>& meanwhile) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return own_failure("cannot make a socket pair", errno);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  std::vector<char*> argument_pointers;
  argument_pointers.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argument_pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  argument_pointers.push_back(nullptr);
  const Filter to_install{filter, needs_no_new_privs(),
                          features.usable(KernelFeature::kWaitKillableRecv)};
  const std::vector<int> not_theirs = own_descriptors({theirs.get(), inherited.needed_fd()});

  const pid_t pid = ::fork();
  if (pid < 0) return own_failure("cannot fork", errno);
  if (pid == 0) {
    become_command(theirs.get(), argument_pointers.data(), to_install, inherited, mounts, ipc_of,
                   not_theirs);
  }
  theirs.reset();

  const auto give_up = [pid](Failure failure) {
    end_child(pid);
    return failure;
  };
  Command command(pid, std::move(ours), arguments[0]);
  meanwhile();
  const std::optional<Message> message =
      receive_step(command.socket_.get(), command.missing_in_proc_, [](int) {});
  if (!message) {
    return give_up({exit_status::kOwnFailure, "the child died before it had its filter"});
  }
  if (message->step != Step::kListener) return give_up(explain(*message, arguments[0]));
  if (!fetch(pid, command.socket_.get(), *message, features, command.listener_,
             command.connection_)) {
    return give_up(own_failure("cannot get the seccomp listener", errno));
  }
  command.wants_mount_ = message->wants_mount;
  command.wait_kind_ = message->wait_kind;
  if (message->ipc_errno != 0) command.ipc_refused_ = Errno(message->ipc_errno);
  command.made_ipc_ = ipc_of == IpcOf::kCommand && message->ipc_errno == 0;
  if (message->wait_kind != WaitKind::kKillable)
    features.mark_absent(KernelFeature::kWaitKillableRecv);
  return command;
}

UniqueFd Command::ipc_namespace() const {
  if (!made_ipc_) return UniqueFd();
  if (known_ipc_ >= 0) return UniqueFd(::fcntl(known_ipc_, F_DUPFD_CLOEXEC, 0));
  return UniqueFd(::open(proc_path(pid_, "ns/ipc").c_str(), O_RDONLY | O_CLOEXEC));
}

void Command::make_mount(const UniqueFd& user_namespace) {
  FuseMount made;
  const auto missing = made.make_for(user_namespace);
  if (!missing.failed()) connection_ = std::move(made.connection);
  take_mount(std::move(made.mount), missing);
  wants_mount_ = false;
}

void Command::go_on() {
  const std::array fds{mount_.get()};
  (void)send_message(socket_.get(), Message{.step = Step::kGoOn, .missing = missing_mount_},
                     std::span(fds).first(mount_.valid() ? 1 : 0));
  if (mount_.valid() && KeptDescriptors::current() != nullptr) {
    // The keeper and its next servers know it by its number, which no other file may come to have.
    (void)::dup3(socket_.get(), mount_.get(), O_CLOEXEC);
    (void)mount_.release();
  }
  mount_.reset();
}

std::optional<Failure> Command::wait_for_exec(const std::function<void(int)>& wait_readable) {
  const std::optional<Message> message =
      receive_step(socket_.get(), missing_in_proc_, wait_readable);
  if (!message) return std::nullopt;  // closed by the exec
  return explain(*message, name_);
}

}  // namespace shmvisor
