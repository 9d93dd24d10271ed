#include "supervisor/procfiles/fuse_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "policy/base/held_locks.h"
#include "supervisor/kernel/descriptor_message.h"

namespace shmvisor {
namespace {

using Step = ProcMountFailure::Step;

ProcMountFailure failure(Step step) { return {step, errno}; }

/// A number in decimal; std::to_string() allocates.
class Decimal {
 public:
  explicit Decimal(unsigned number) {
    char* at = text_.data() + text_.size() - 1;
    do {
      *--at = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    begin_ = at;
  }
  [[nodiscard]] const char* c_str() const { return begin_; }

 private:
  std::array<char, 12> text_{};
  const char* begin_ = nullptr;
};

/// In the forked child of a program with threads: system calls alone.
[[noreturn]] void make_in(const UniqueFd& user_namespace, int socket) {
  FuseMount made;
  ProcMountFailure failed;
  // The mount namespace is a copy of ours, so that /dev/fuse is ours too.
  if (::setns(user_namespace.get(), CLONE_NEWUSER) != 0) {
    failed = failure(Step::kUserNamespace);
  } else if (::unshare(CLONE_NEWNS) != 0) {
    failed = failure(Step::kMountNamespace);
  } else {
    failed = made.make(Decimal(::geteuid()).c_str(), Decimal(::getegid()).c_str());
  }
  const std::array fds{made.connection.get(), made.mount.get()};
  (void)send_message(socket, failed, std::span(fds).first(failed.failed() ? 0 : fds.size()));
  ::_exit(0);
}

}  // namespace

ProcMountFailure FuseMount::make(const char* uid, const char* gid) {
  // The kernel wants it opened in the user namespace that mounts.
  if (!connection.valid()) connection.reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!connection.valid()) return failure(Step::kDevFuse);
  const UniqueFd context(::fsopen("fuse", FSOPEN_CLOEXEC));
  if (!context.valid()) return failure(Step::kFileSystem);
  const auto set = [&context](const char* key, const char* value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) == 0;
  };
  if (!set("source", "shmvisor") ||
      !set("fd", Decimal(static_cast<unsigned>(connection.get())).c_str()) ||
      !set("rootmode", "40555") || !set("user_id", uid) || !set("group_id", gid) ||
      ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "allow_other", nullptr, 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return failure(Step::kFileSystem);
  }
  mount.reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  return mount.valid() ? ProcMountFailure{} : failure(Step::kFileSystem);
}

ProcMountFailure FuseMount::make_for(const UniqueFd& user_namespace) {
  const ProcMountFailure here = make(Decimal(::geteuid()).c_str(), Decimal(::getegid()).c_str());
  if (!here.failed() || here.error != EPERM || !user_namespace.valid()) return here;
  connection.reset();
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return failure(Step::kFileSystem);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const pid_t child = ::fork();
  if (child < 0) return failure(Step::kFileSystem);
  if (child == 0) make_in(user_namespace, theirs.get());
  theirs.reset();
  ProcMountFailure made;
  auto received = receive_message(ours.get(), made);
  HeldLocks::assert_may_wait();
  // A child of this thread: the main thread, which reaps, does not see it.
  while (::waitpid(child, nullptr, __WNOTHREAD) < 0 && errno == EINTR) {
  }
  if (!received) return {Step::kFileSystem, received.error().value()};
  if (made.failed()) return made;
  connection = std::move(received->at(0));
  mount = std::move(received->at(1));
  return connection.valid() && mount.valid() ? ProcMountFailure{}
                                             : ProcMountFailure{Step::kFileSystem, EMFILE};
}

}  // namespace shmvisor
