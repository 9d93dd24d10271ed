// Many segments alive, and many processes attached to one.
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr key_t kFirstKey = 0x10000;

/// Processes that inherited the caller's attaches and wait to be killed.
class Attached {
 public:
  explicit Attached(std::size_t count) {
    const pid_t parent = ::getpid();
    for (std::size_t i = 0; i < count; ++i) {
      const pid_t pid = ::fork();
      if (pid < 0) give_up("fork");
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (::getppid() == parent) ::pause();
        ::_exit(0);
      }
      pids_.push_back(pid);
    }
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

 private:
  std::vector<pid_t> pids_;
};

/// IPC_STAT while `processes` of them are attached, the caller among them.
double stat_attached(const WorkerSettings& settings, std::size_t processes) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kFirstKey, kPageBytes);
  void* const address = segment.attach();
  const Attached others(processes - 1);
  if (!calls.cooperate() && calls.stat(segment.id()) != processes) give_up("wrong shm_nattch");
  const double result = time_each(settings.budget, [&] { (void)calls.stat(segment.id()); });
  segment.detach(address);
  return result;
}

/// shmget while another process asks for IPC_STAT of such a segment without a pause.
double shmget_beside_counting(const WorkerSettings& settings, std::size_t processes) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kFirstKey, kPageBytes);
  void* const address = segment.attach();
  double result = 0;
  {
    const Attached others(processes - 1);
    const pid_t asker = ::fork();
    if (asker < 0) give_up("fork");
    if (asker == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) (void)calls.stat(segment.id());
    }
    ::usleep(20'000);
    result = time_each(settings.budget, [&] { (void)calls.get(kFirstKey, kPageBytes); });
    ::kill(asker, SIGKILL);
    ::waitpid(asker, nullptr, 0);
  }
  segment.detach(address);
  return result;
}

/// Segments with keys; they go with the worker's IPC namespace, or its supervisor.
std::vector<int> make_segments(const ShmCalls& calls, int count) {
  std::vector<int> ids;
  ids.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) ids.push_back(calls.get(kFirstKey + i, kPageBytes));
  return ids;
}

void add_many_segments(WorkerTable& table, int count) {
  const std::string suffix = "-among-" + std::to_string(count);
  const auto middle = static_cast<std::size_t>(count / 2);
  table["shmget" + suffix] = [count](const WorkerSettings& settings) {
    const ShmCalls calls(settings.cooperate);
    make_segments(calls, count);
    return time_each(settings.budget, [&] { (void)calls.get(kFirstKey + count / 2, kPageBytes); });
  };
  table["stat" + suffix] = [count, middle](const WorkerSettings& settings) {
    const ShmCalls calls(settings.cooperate);
    const auto ids = make_segments(calls, count);
    return time_each(settings.budget, [&] { (void)calls.stat(ids[middle]); });
  };
  table["create-remove" + suffix] = [count](const WorkerSettings& settings) {
    const ShmCalls calls(settings.cooperate);
    make_segments(calls, count - 1);  // shmmni is 32,768
    return time_each(settings.budget, [&] { calls.remove(calls.get(IPC_PRIVATE, kPageBytes)); });
  };
  table["attach-detach" + suffix] = [count, middle](const WorkerSettings& settings) {
    const ShmCalls calls(settings.cooperate);
    const auto ids = make_segments(calls, count);
    return time_each(settings.budget,
                     [&] { calls.detach(calls.attach(ids[middle], kPageBytes), kPageBytes); });
  };
}

}  // namespace

void add_crowds(WorkerTable& table) {
  for (const std::size_t processes : {1U, 100U, 1000U}) {
    table["stat-attached-" + std::to_string(processes)] =
        [processes](const WorkerSettings& settings) { return stat_attached(settings, processes); };
  }
  table["shmget-beside-counting-1000"] = [](const WorkerSettings& settings) {
    return shmget_beside_counting(settings, 1000);
  };
  // 32,768 is the most there can be; 16,000 fits under the usual hard limits of descriptors.
  for (const int count : {10, 1000, 16000, 32768}) add_many_segments(table, count);
}

}  // namespace shmvisor
