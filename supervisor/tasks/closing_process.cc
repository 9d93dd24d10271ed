#include "supervisor/tasks/closing_process.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <new>
#include <thread>

#include "supervisor/kernel/shared_object.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{16} * 1024;
constexpr int kMostMessages = 64;
/// LastCloses has fewer, and so has a keeper; further ones are not known again.
constexpr std::size_t kMostKnown = 512;

std::array<std::atomic<pid_t>, kMostKnown> g_known;

void replace_known(pid_t before, pid_t now) {
  for (auto& known : g_known) {
    pid_t expected = before;
    if (known.compare_exchange_strong(expected, now)) return;
  }
}

constexpr std::chrono::microseconds kFirstPause(20);
constexpr std::chrono::microseconds kLongestPause(1000);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCloneFlags = 0;  // the sanitizers' runtimes know nothing of such a process
#else
constexpr int kCloneFlags = CLONE_VM;
#endif

}  // namespace

/// Of both processes, also where the child has a copy of our memory.
struct ClosingProcess::Shared {
  std::array<int, kMostFiles> files;
  std::size_t count;
  pid_t parent;
  int is_ready;
  int may_close;
};

struct ClosingProcess::Stack {
  alignas(16) std::array<std::byte, kStackBytes> bytes;
};

/// In the child, perhaps with our memory and thread-local storage: system calls alone.
int ClosingProcess::run(void* of_both) {
  auto* const shared = static_cast<Shared*>(of_both);
  ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::syscall(SYS_prctl, PR_SET_NAME, "shmvisor-close", 0, 0, 0);
  const int* const files = shared->files.data();
  unsigned next = 0;
  for (std::size_t i = 0; i < shared->count; ++i) {
    const auto file = static_cast<unsigned>(files[i]);
    if (file > next) ::syscall(SYS_close_range, next, file - 1, 0U);
    next = file + 1;
  }
  ::syscall(SYS_close_range, next, ~0U, 0U);
  __atomic_store_n(&shared->is_ready, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&shared->may_close, __ATOMIC_SEQ_CST) == 0) {
    // Who ended before we could ask for a signal.
    if (::syscall(SYS_getppid) != shared->parent) ::syscall(SYS_exit_group, 1);
    const timespec pause{0, 50'000};
    ::syscall(SYS_nanosleep, &pause, nullptr);
  }
  for (std::size_t i = 0; i < shared->count; ++i) {
    char byte = 0;
    int messages = 0;
    while (messages < kMostMessages && ::syscall(SYS_recvfrom, files[i], &byte, sizeof(byte),
                                                 MSG_DONTWAIT, nullptr, nullptr) >= 0) {
      ++messages;
    }
  }
  ::syscall(SYS_exit_group, 0);
  return 0;
}

ClosingProcess::ClosingProcess(Shared* shared, std::unique_ptr<Stack> stack)
    : shared_(shared), stack_(std::move(stack)), since_(std::chrono::steady_clock::now()) {}

ClosingProcess::~ClosingProcess() { ::munmap(shared_, sizeof(Shared)); }

std::unique_ptr<ClosingProcess> ClosingProcess::begin(std::span<const int> files, Memory memory) {
  std::unique_ptr<Stack> stack(new (std::nothrow) Stack);
  auto* const shared = stack == nullptr ? nullptr : make_shared_object<Shared>();
  if (shared == nullptr) return nullptr;
  std::unique_ptr<ClosingProcess> process(new (std::nothrow)
                                              ClosingProcess(shared, std::move(stack)));
  if (process == nullptr) {
    ::munmap(shared, sizeof(Shared));
    return nullptr;
  }
  std::ranges::copy(files, shared->files.begin());
  shared->count = files.size();
  shared->parent = ::getpid();
  std::array<std::byte, kStackBytes>& room = process->stack_->bytes;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  process->pid_ =
      ::clone(&run, room.data() + room.size(), memory == Memory::kOurs ? kCloneFlags : 0, shared);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (process->pid_ < 0) return nullptr;
  replace_known(0, process->pid_);
  return process;
}

bool ClosingProcess::wait_until_ready(std::chrono::milliseconds bound) const {
  const auto deadline = since_ + bound;
  for (auto pause = kFirstPause; __atomic_load_n(&shared_->is_ready, __ATOMIC_SEQ_CST) == 0;
       pause = std::min(2 * pause, kLongestPause)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

void ClosingProcess::close_ours() {
  for (std::size_t i = 0; i < shared_->count; ++i) ::close(shared_->files.at(i));
  __atomic_store_n(&shared_->may_close, 1, __ATOMIC_SEQ_CST);
}

/// Of a child that sends no signal at its end: nobody else reaps it.
bool ClosingProcess::gone() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, __WCLONE | WNOHANG) != 0) {
    replace_known(pid_, 0);
    pid_ = -1;
  }
  return pid_ <= 0;
}

bool ClosingProcess::is_one(pid_t pid) {
  return std::ranges::any_of(g_known, [pid](const auto& known) { return known.load() == pid; });
}

void ClosingProcess::kill() const {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

}  // namespace shmvisor
