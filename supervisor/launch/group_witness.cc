#include "supervisor/launch/group_witness.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <iterator>
#include <thread>
#include <utility>

#include "supervisor/procfs/process_stat.h"

namespace shmvisor {
namespace {

constexpr int kMostLooks = 20;
constexpr std::chrono::milliseconds kBetweenLooks(1);
constexpr std::size_t kKernelMaskBytes = 8;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCloneFlags = 0;  // the sanitizers' runtimes know nothing of such a process
#else
constexpr int kCloneFlags = CLONE_VM;
#endif

alignas(16) std::array<std::byte, 16384> g_stack;

/// A process that signals a group holds tasklist_lock until all members have the signal
/// (kill_something_info() of kernel/signal.c). setpgid(2) takes that for writing, though it changes
/// nothing here: behind it, all members have what one had before. A group whose leader is outside
/// of our pid namespace has no number; one that nobody has makes it fail, behind that lock as well.
void wait_for_senders() {
  const pid_t group = ::getpgrp();
  (void)::setpgid(0, group != 0 ? group : INT_MAX);
}

/// Of a child, which most often can be reaped then.
void wait_for_end_of(pid_t pid) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd end{pidfd.get(), POLLIN, 0};
  if (pidfd.valid()) (void)::poll(&end, 1, kMostLooks * static_cast<int>(kBetweenLooks.count()));
}

}  // namespace

/// In the witness, with our memory and thread-local storage: system calls alone, none of which
/// fails but while we wait for the answer, so that our errno is left alone.
int GroupWitness::stand_witness(void* socket) {
  const auto fd = static_cast<int>(reinterpret_cast<std::intptr_t>(socket));
  ::syscall(SYS_dup3, fd, STDIN_FILENO, 0);
  ::syscall(SYS_close_range, STDIN_FILENO + 1, ~0U, 0);
  ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::syscall(SYS_prctl, PR_SET_NAME, "signal-witness", 0, 0, 0);
  const std::uint64_t all = ~std::uint64_t{0};
  char question = 0;
  while (::syscall(SYS_read, STDIN_FILENO, &question, 1) == 1) {
    Answer answer{};
    const timespec at_once{};
    for (Heard& heard : answer) {
      siginfo_t info{};
      if (::syscall(SYS_rt_sigtimedwait, &all, &info, &at_once, kKernelMaskBytes) <= 0) break;
      heard = {info.si_signo, info.si_code, info.si_pid, info.si_uid};
    }
    ::syscall(SYS_write, STDIN_FILENO, answer.data(), sizeof(answer));
  }
  ::syscall(SYS_exit_group, 0);
  return 0;
}

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

GroupWitness::~GroupWitness() {
  dismiss();
  wait_until_gone();
}

/// Its tracer may keep the end from us. It runs nothing any more then, whatever becomes of its
/// stack.
void GroupWitness::wait_until_gone() {
  if (!gone()) {
    const auto* const ending = std::ranges::find_if(ending_, [](pid_t pid) { return pid != 0; });
    if (ending != ending_.end()) wait_for_end_of(*ending);
  }
  for (int looks = 0; looks < kMostLooks && !gone(); ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void GroupWitness::dismiss() {
  socket_.reset();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  *std::ranges::find(ending_, 0) = std::exchange(pid_, -1);
}

bool GroupWitness::gone() {
  for (pid_t& pid : ending_) {
    if (pid != 0 && ::waitpid(pid, nullptr, __WCLONE | WNOHANG) != 0) pid = 0;
  }
  return pid_ <= 0 && std::ranges::count(ending_, 0) == std::ssize(ending_);
}

bool GroupWitness::ask() {
  if (!socket_.valid()) return false;
  wait_for_senders();
  return send_question();
}

bool GroupWitness::send_question() const {
  const char question = 0;
  return ::send(socket_.get(), &question, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

GroupWitness::Answered GroupWitness::take(std::vector<Heard>& heard) {
  Answer answer{};
  const ssize_t got = ::recv(socket_.get(), answer.data(), sizeof(answer), MSG_DONTWAIT);
  if (got != static_cast<ssize_t>(sizeof(answer))) {
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? Answered::kNotYet : Answered::kNever;
  }
  const auto end = std::ranges::find(answer, 0, &Heard::number);
  heard.insert(heard.end(), answer.begin(), end);
  if (end == answer.end()) return send_question() ? Answered::kNotYet : Answered::kNever;
  wait_for_senders();
  return Answered::kAll;
}

bool GroupWitness::wants_cpu() const {
  const auto witness = ProcessStat::read(pid_);
  return witness && witness->state == 'R';
}

bool GroupWitness::start_again() {
  if (pid_ > 0) return true;
  if (failures_ >= kMostFailures || !gone()) return false;
  ++failures_;
  start();
  return pid_ > 0;
}

}  // namespace shmvisor
