// Calls that have nothing to do with shared memory, alone and with eight segments attached.
#include <fcntl.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <deque>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kAttached = 8;
constexpr std::size_t kAttachedBytes = 1 << 20;

double getppid_call(const WorkerSettings& settings) {
  return time_each(settings.budget, [] { ::syscall(SYS_getppid); });
}

double open_close(const WorkerSettings& settings) {
  return time_each(settings.budget, [] {
    const int fd = ::openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) give_up("openat");
    ::close(fd);
  });
}

double mmap_munmap(const WorkerSettings& settings) {
  return time_each(settings.budget, [] {
    void* const address =
        ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) give_up("mmap");
    ::munmap(address, kPageBytes);
  });
}

double semop_call(const WorkerSettings& settings) {
  const int id = ::semget(IPC_PRIVATE, 1, 0600);
  if (id < 0) give_up("semget");
  short step = 1;
  const double result = time_each(settings.budget, [id, &step] {
    sembuf change{0, step, 0};
    if (::semop(id, &change, 1) != 0) give_up("semop");
    step = static_cast<short>(-step);  // up, then down again without waiting
  });
  ::semctl(id, 0, IPC_RMID);
  return result;
}

void wait_for(pid_t pid) {
  if (pid < 0) give_up("fork");
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("waitpid");
}

double fork_wait(const WorkerSettings& settings) {
  return time_each(settings.budget, [] {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    wait_for(pid);
  });
}

double fork_exec_wait(const WorkerSettings& settings) {
  return time_each(settings.budget, [] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl("/bin/true", "true", nullptr);
      ::_exit(1);
    }
    wait_for(pid);
  });
}

double thread_create_join(const WorkerSettings& settings) {
  return time_each(settings.budget, [] {
    pthread_t thread{};
    const auto nothing = [](void*) -> void* { return nullptr; };
    if (::pthread_create(&thread, nullptr, nothing, nullptr) != 0) give_up("pthread_create");
    ::pthread_join(thread, nullptr);
  });
}

double with_segments(double (*function)(const WorkerSettings&), const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  std::deque<BenchSegment> segments;
  std::array<void*, kAttached> attached{};
  for (void*& address : attached) {
    segments.emplace_back(calls, IPC_PRIVATE, kAttachedBytes);
    address = segments.back().attach();
    std::memset(address, 1, kPageBytes);
  }
  const double result = function(settings);
  for (std::size_t i = 0; i < kAttached; ++i) segments[i].detach(attached[i]);
  return result;
}

}  // namespace

void add_unrelated_calls(WorkerTable& table) {
  const std::map<std::string, double (*)(const WorkerSettings&)> alone = {
      {"getppid", getppid_call},
      {"open-close", open_close},
      {"mmap-munmap", mmap_munmap},
      {"semop", semop_call},
      {"fork-wait", fork_wait},
      {"fork-exec-wait", fork_exec_wait},
      {"thread-create-join", thread_create_join},
  };
  for (const auto& [name, function] : alone) {
    table[name] = one_number(function);
    table[name + "-attached8"] = one_number([function = function](const WorkerSettings& settings) {
      return with_segments(function, settings);
    });
  }
}

}  // namespace shmvisor
