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

double stat_attached(const WorkerSettings& settings, const ShmCalls& calls,
                     const BenchSegment& segment, std::size_t processes) {
  if (!calls.cooperate() && calls.stat(segment.id()) != processes) give_up("wrong shm_nattch");
  return time_each(settings.budget, [&] { (void)calls.stat(segment.id()); });
}

/// shmget while another process asks for IPC_STAT of that segment without a pause.
double shmget_beside_counting(const WorkerSettings& settings, const ShmCalls& calls,
                              const BenchSegment& segment) {
  const pid_t asker = ::fork();
  if (asker < 0) give_up("fork");
  if (asker == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) (void)calls.stat(segment.id());
  }
  ::usleep(20'000);
  const double result = time_each(settings.budget, [&] { (void)calls.get(kFirstKey, kPageBytes); });
  ::kill(asker, SIGKILL);
  ::waitpid(asker, nullptr, 0);
  return result;
}

/// IPC_STAT while so many processes are attached, the caller among them; shmget beside that.
std::vector<double> attached_crowd(const WorkerSettings& settings, std::size_t processes) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kFirstKey, kPageBytes);
  void* const address = segment.attach();
  std::vector<double> numbers;
  {
    const Attached others(processes - 1);
    numbers.push_back(stat_attached(settings, calls, segment, processes));
    numbers.push_back(shmget_beside_counting(settings, calls, segment));
  }
  segment.detach(address);
  return numbers;
}

/// The calls while so many segments with keys are alive; these go with the worker's IPC namespace,
/// or its supervisor.
std::vector<double> among_segments(const WorkerSettings& settings, int count) {
  const ShmCalls calls(settings.cooperate);
  std::vector<int> ids;
  ids.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) ids.push_back(calls.get(kFirstKey + i, kPageBytes));
  const int middle = count / 2;
  const int id = ids[static_cast<std::size_t>(middle)];

  const auto timed = [&settings](auto operation) { return time_each(settings.budget, operation); };
  std::vector<double> numbers;
  numbers.push_back(timed([&] { (void)calls.get(kFirstKey + middle, kPageBytes); }));
  numbers.push_back(timed([&] { (void)calls.stat(id); }));
  numbers.push_back(timed([&] { calls.detach(calls.attach(id, kPageBytes), kPageBytes); }));
  calls.remove(ids.back());  // shmmni is 32,768: room for one
  numbers.push_back(timed([&] { calls.remove(calls.get(IPC_PRIVATE, kPageBytes)); }));
  return numbers;
}

}  // namespace

void add_crowds(WorkerTable& table) {
  for (const std::size_t processes : {1U, 100U, 1000U}) {
    table["attached-" + std::to_string(processes)] = [processes](const WorkerSettings& settings) {
      return attached_crowd(settings, processes);
    };
  }
  // 32,768 is the most there can be; 16,000 fits under the usual hard limits of descriptors.
  for (const int count : {10, 1000, 16000, 32768}) {
    table["among-" + std::to_string(count)] = [count](const WorkerSettings& settings) {
      return among_segments(settings, count);
    };
  }
}

}  // namespace shmvisor
