// The same calls from several processes, and from several threads of one, at once.
//
// The number is wall-clock nanoseconds for one call of all of them together: half as much for two
// callers as for one means that they do not hinder each other.
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x5eed;
constexpr std::size_t kPageBytes = 4096;

/// Shared by all callers, in memory that forked ones share too.
struct Course {
  std::atomic<int> ready{0};
  std::atomic<bool> started{false};
  std::atomic<bool> ended{false};
  std::atomic<std::uint64_t> calls{0};
};

Course& make_course() {
  void* const memory =
      ::mmap(nullptr, sizeof(Course), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) give_up("mmap");
  return *new (memory) Course;
}

void nap() {
  const timespec moment{0, 200'000};
  ::nanosleep(&moment, nullptr);
}

/// Until a caller's calls cost what they cost from then on: shmvisor lets its call sites lead into
/// the call page with the 20th attach or detach.
constexpr int kWarmCalls = 64;

template <typename Operation>
void take_part(Course& course, Operation operation) {
  for (int i = 0; i < kWarmCalls; ++i) operation();
  course.ready.fetch_add(1);
  while (!course.started.load()) nap();
  std::uint64_t count = 0;
  do {  // one at least, where others keep it from its CPU all the time
    operation();
    ++count;
  } while (!course.ended.load(std::memory_order_relaxed));
  course.calls.fetch_add(count);
}

double conduct(Course& course, int callers, std::chrono::nanoseconds budget,
               const std::function<void()>& join) {
  while (course.ready.load() < callers) nap();
  const auto start = WorkerClock::now();
  course.started.store(true);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(budget);
  timespec left{seconds.count(), (budget - seconds).count()};
  while (::nanosleep(&left, &left) != 0) {
  }
  course.ended.store(true);
  const double taken_ns = nanoseconds_since(start);
  join();
  return taken_ns / static_cast<double>(course.calls.load());
}

template <typename Operation>
double by_processes(int callers, std::chrono::nanoseconds budget, Operation operation) {
  Course& course = make_course();
  std::vector<pid_t> pids;
  for (int i = 0; i < callers; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork");
    if (pid == 0) {
      take_part(course, operation);
      ::_exit(0);
    }
    pids.push_back(pid);
  }
  return conduct(course, callers, budget, [&pids] {
    for (const pid_t pid : pids) {
      int status = 0;
      if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("a caller failed");
    }
  });
}

template <typename Operation>
double by_threads(int callers, std::chrono::nanoseconds budget, Operation operation) {
  Course& course = make_course();
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(callers));
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&course, operation] { take_part(course, operation); });
  }
  return conduct(course, callers, budget, [&threads] {
    for (std::thread& thread : threads) thread.join();
  });
}

template <typename Operation>
double by_all(bool threads, int callers, std::chrono::nanoseconds budget, Operation operation) {
  return threads ? by_threads(callers, budget, operation)
                 : by_processes(callers, budget, operation);
}

}  // namespace

void add_parallel_callers(WorkerTable& table) {
  struct Crew {
    const char* name;
    int callers;
    bool threads;
  };
  for (const Crew crew :
       {Crew{"1-process", 1, false}, Crew{"2-processes", 2, false}, Crew{"4-processes", 4, false},
        Crew{"16-processes", 16, false}, Crew{"16-threads", 16, true}}) {
    const std::string suffix = std::string("-") + crew.name;
    table["shmget" + suffix] = one_number([crew](const WorkerSettings& settings) {
      const ShmCalls calls(settings.cooperate);
      const BenchSegment segment(calls, kKey, kPageBytes);
      return by_all(crew.threads, crew.callers, settings.budget,
                    [&calls] { (void)calls.get(kKey, kPageBytes); });
    });
    table["create-remove" + suffix] = one_number([crew](const WorkerSettings& settings) {
      const ShmCalls calls(settings.cooperate);
      return by_all(crew.threads, crew.callers, settings.budget,
                    [&calls] { calls.remove(calls.get(IPC_PRIVATE, kPageBytes)); });
    });
    table["attach-detach" + suffix] = one_number([crew](const WorkerSettings& settings) {
      const ShmCalls calls(settings.cooperate);
      const BenchSegment segment(calls, kKey, kPageBytes);
      return by_all(crew.threads, crew.callers, settings.budget,
                    [&segment] { segment.detach(segment.attach()); });
    });
  }
}

}  // namespace shmvisor
