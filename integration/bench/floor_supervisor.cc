#include "integration/bench/floor_supervisor.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "integration/bench/cooperation.h"
#include "policy/filter/filter_program.h"
#include "supervisor/kernel/seccomp_install.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

constexpr int kOwnFailure = 125;

int fail(const char* what) {
  std::fprintf(stderr, "shmvisor-bench: %s: %s\n", what, std::strerror(errno));
  return kOwnFailure;
}

void exec_or_exit(char** command) {
  ::execvp(command[0], command);
  ::_exit(fail(command[0]));
}

/// The child's side: the filter, then its listener's number to the parent, then the command.
[[noreturn]] void become_command(int socket, const std::vector<sock_filter>& filter,
                                 char** command) {
  Result<UniqueFd> listener = install_filter(filter, {});
  if (!listener && listener.error() == Errno(EACCES)) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = install_filter(filter, {});
  }
  if (!listener) ::_exit(fail("filter"));
  const int number = listener->get();
  char taken = 0;
  if (::write(socket, &number, sizeof(number)) != sizeof(number) ||
      ::read(socket, &taken, 1) != 1) {
    ::_exit(kOwnFailure);
  }
  exec_or_exit(command);
  ::_exit(kOwnFailure);
}

void answer(int listener, int memory_fd, const seccomp_notif& notif) {
  if (notif.data.nr == SYS_shmat) {
    seccomp_notif_addfd addfd{};
    addfd.id = notif.id;
    addfd.flags = SECCOMP_ADDFD_FLAG_SEND;
    addfd.srcfd = static_cast<std::uint32_t>(memory_fd);
    addfd.newfd_flags = O_CLOEXEC;
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
    return;
  }
  seccomp_notif_resp response{};
  response.id = notif.id;
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void serve(int listener, int memory_fd) {
  for (;;) {
    seccomp_notif notif{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) == 0) {
      answer(listener, memory_fd, notif);
    } else if (errno != EINTR && errno != ENOENT) {
      return;
    }
  }
}

UniqueFd take_listener(pid_t child, int socket) {
  int number = -1;
  if (::read(socket, &number, sizeof(number)) != sizeof(number)) return UniqueFd();
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), number, 0)));
}

}  // namespace

int run_with_allow_filter(char** command) {
  sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {1, allow};
  const auto install = [&program] {
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                     &program) == 0;
  };
  if (!install()) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!install()) return fail("filter");
  }
  exec_or_exit(command);
  return kOwnFailure;
}

int run_floor_supervisor(int threads, char** command) {
  const auto filter = build_filter_program();
  if (!filter) return kOwnFailure;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return fail("socketpair");
  const pid_t child = ::fork();
  if (child < 0) return fail("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    become_command(pair[1], *filter, command);
  }
  ::close(pair[1]);

  const UniqueFd listener = take_listener(child, pair[0]);
  const UniqueFd memory(::memfd_create("floor", MFD_CLOEXEC));
  if (!listener.valid() || ::ftruncate(memory.get(), kCooperativeBytes) != 0) {
    const int status = fail("listener");
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return status;
  }
  // Before Linux 6.6 the floor is a higher one.
  ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  for (int i = 0; i < threads; ++i) {
    std::thread(serve, listener.get(), memory.get()).detach();
  }
  const char taken = 1;
  if (::write(pair[0], &taken, 1) != 1) return kOwnFailure;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  // The threads are blocked on what a return would destroy.
  ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace shmvisor
