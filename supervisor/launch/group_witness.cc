#include "supervisor/launch/group_witness.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>

namespace shmvisor {
namespace {

/// It answers within microseconds, unless somebody has stopped it.
constexpr int kPatienceMs = 100;
constexpr int kMostFailures = 5;
constexpr std::size_t kKernelMaskBytes = 8;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCloneFlags = 0;  // the sanitizers' runtimes know nothing of such a process
#else
constexpr int kCloneFlags = CLONE_VM;
#endif

alignas(16) std::array<std::byte, 16384> g_stack;

/// In the witness, with our memory and thread-local storage: system calls alone, none of which
/// fails but while we wait for the answer, so that our errno is left alone.
int stand_witness(void* socket) {
  const auto fd = static_cast<int>(reinterpret_cast<std::intptr_t>(socket));
  ::syscall(SYS_dup3, fd, STDIN_FILENO, 0);
  ::syscall(SYS_close_range, STDIN_FILENO + 1, ~0U, 0);
  ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::syscall(SYS_prctl, PR_SET_NAME, "shmvisor-group", 0, 0, 0);
  const std::uint64_t all = ~std::uint64_t{0};
  char question = 0;
  while (::syscall(SYS_read, STDIN_FILENO, &question, 1) == 1) {
    GroupWitness::Counts counts{};
    const timespec at_once{};
    for (;;) {
      const long number = ::syscall(SYS_rt_sigtimedwait, &all, nullptr, &at_once, kKernelMaskBytes);
      if (number <= 0) break;
      std::uint8_t& count = counts[static_cast<std::size_t>(number)];
      if (count < UINT8_MAX) ++count;
    }
    ::syscall(SYS_write, STDIN_FILENO, counts.data(), counts.size());
  }
  ::syscall(SYS_exit_group, 0);
  return 0;
}

/// Who signals a group holds tasklist_lock until all members have the signal (kill_something_info()
/// of kernel/signal.c). setpgid(2) takes that for writing, though it changes nothing here: behind
/// it, all members have what one had before.
void wait_for_senders() { (void)::setpgid(0, ::getpgrp()); }

}  // namespace

void GroupWitness::start() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
  socket_.reset(pair[0]);
  const UniqueFd its(pair[1]);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pid_ = ::clone(&stand_witness, g_stack.data() + g_stack.size(), kCloneFlags,
                 reinterpret_cast<void*>(std::intptr_t{its.get()}));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) socket_.reset();
}

void GroupWitness::end() {
  socket_.reset();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, __WCLONE) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

GroupWitness::Counts GroupWitness::ask() {
  Counts counts{};
  if (!socket_.valid()) return counts;
  wait_for_senders();
  const char question = 0;
  pollfd answer{socket_.get(), POLLIN, 0};
  const bool answered =
      ::send(socket_.get(), &question, 1, MSG_NOSIGNAL) == 1 &&
      ::poll(&answer, 1, kPatienceMs) == 1 &&
      ::read(socket_.get(), counts.data(), counts.size()) == static_cast<ssize_t>(counts.size());
  wait_for_senders();
  if (answered) return counts;
  end();
  if (++failures_ < kMostFailures) start();
  return {};
}

}  // namespace shmvisor
