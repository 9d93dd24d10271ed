// Which workloads there are, and what each is held against.
#include <memory>

#include "integration/bench/idle_probe.h"
#include "integration/bench/interpreter_runs.h"
#include "integration/bench/machine.h"
#include "integration/bench/postgres_cluster.h"
#include "integration/bench/shared_run.h"
#include "integration/bench/worker_run.h"
#include "integration/bench/workload.h"
#include "integration/bench/x11_run.h"

namespace shmvisor {
namespace {

constexpr double kMillisecond = 1e6;  // in nanoseconds
constexpr double kKiB = 1024;
constexpr double kMiB = 1024 * kKiB;

Goal of_native(double bound) { return {GoalKind::kOfNative, bound, {}, false}; }
Goal of_floor(double bound) { return {GoalKind::kOfFloor, bound, {}, false}; }
Goal at_most(double bound) { return {GoalKind::kAbsolute, bound, {}, false}; }
Goal over_native(double bound) { return {GoalKind::kOverNative, bound, {}, false}; }
Goal of_workload(double bound, const std::string& other) {
  return {GoalKind::kOfWorkload, bound, other, false};
}
Goal rate_of(double bound, const std::string& other) {
  return {GoalKind::kRate, bound, other, false};
}
Goal further(Goal goal) {
  goal.further = true;
  return goal;
}

Workload make(const std::string& name, Unit unit, std::vector<Goal> goals,
              MeasureFunction measure) {
  Workload workload;
  workload.name = name;
  workload.unit = unit;
  workload.goals = std::move(goals);
  workload.measure = std::move(measure);
  return workload;
}

Workload worker(const std::string& name, FloorKind floor, std::vector<Goal> goals) {
  Workload workload =
      make(name, Unit::kNanoseconds, std::move(goals),
           [name](const Placement& placement) { return run_worker_in(placement, name); });
  workload.floor = floor;
  return workload;
}

MeasureFunction number_of(const std::shared_ptr<SharedRun>& run, std::size_t index) {
  return [run, index](const Placement& placement) { return run->take(placement, index); };
}

std::shared_ptr<SharedRun> shared_worker(const std::string& name, std::size_t numbers) {
  return std::make_shared<SharedRun>([name, numbers](const Placement& placement) {
    return run_worker_for(placement, name, numbers);
  });
}

void add_unrelated(std::vector<Workload>& all) {
  for (const std::string suffix : {"", "-attached8"}) {
    all.push_back(worker("getppid" + suffix, FloorKind::kAllowFilter, {of_floor(1.03)}));
    for (const std::string name : {"open-close", "mmap-munmap", "semop", "fork-wait",
                                   "fork-exec-wait", "thread-create-join"}) {
      all.push_back(worker(name + suffix, FloorKind::kAllowFilter, {of_native(1.03)}));
    }
  }
}

void add_single_calls(std::vector<Workload>& all) {
  constexpr FloorKind kFloor = FloorKind::kNotification;
  all.push_back(worker("shmget", kFloor, {of_floor(1.5)}));
  all.push_back(worker("create-remove", kFloor, {of_floor(2.2)}));
  all.push_back(worker("stat-unattached", kFloor, {of_floor(1.5)}));
  all.push_back(worker("shmat", kFloor, {of_floor(1.6)}));
  all.push_back(worker("shmdt", kFloor, {of_floor(1.6)}));
  all.push_back(worker("attach-touch-detach", kFloor, {}));
  for (const std::string size : {"4K", "64M", "1G"}) {
    all.push_back(worker("attach-detach-" + size, kFloor, {of_native(6), further(of_native(4.5))}));
  }
}

void add_memory(std::vector<Workload>& all) {
  all.push_back(worker("first-touch", FloorKind::kNone, {of_native(1 / 0.98)}));
  all.push_back(worker("copy-bandwidth", FloorKind::kNone, {of_native(0.98)}));
  all.back().unit = Unit::kBytesPerSecond;
}

void add_parallel(std::vector<Workload>& all) {
  struct Crew {
    std::string name;
    int callers;
  };
  for (const std::string call : {"shmget", "create-remove", "attach-detach"}) {
    for (const Crew& crew : {Crew{"1-process", 1}, Crew{"2-processes", 2}, Crew{"4-processes", 4},
                             Crew{"16-processes", 16}, Crew{"16-threads", 16}}) {
      std::vector<Goal> goals;
      // On one CPU no two run at a time.
      if (crew.name == "4-processes" && cpu_count() >= 2) {
        goals.push_back(rate_of(cpu_count() >= 4 ? 2.5 : 1.4, call + "-1-process"));
      }
      all.push_back(worker(call + "-" + crew.name, FloorKind::kNotification, std::move(goals)));
      all.back().callers = crew.callers;
    }
  }
}

/// The calls among few segments and among as many as there can be.
void add_many_segments(std::vector<Workload>& all, std::size_t descriptors) {
  constexpr std::size_t kOtherDescriptors = 200;
  const bool most = descriptors >= 32768 + kOtherDescriptors;
  for (const int count : {10, 1000, most ? 32768 : 16000}) {
    const std::string suffix = "-among-" + std::to_string(count);
    const auto run = shared_worker(suffix.substr(1), 4);
    std::size_t index = 0;
    for (const std::string call : {"shmget", "stat", "attach-detach", "create-remove"}) {
      std::vector<Goal> goals;
      if (count != 10) goals.push_back(of_workload(1.2, call + "-among-10"));
      all.push_back(
          make(call + suffix, Unit::kNanoseconds, std::move(goals), number_of(run, index++)));
      all.back().floor = FloorKind::kNotification;
      all.back().heavy = count > 1000;
    }
  }
}

/// One segment that many processes have attached.
void add_many_processes(std::vector<Workload>& all) {
  for (const int count : {1, 100, 1000}) {
    const std::string name = "attached-" + std::to_string(count);
    const std::string beside = "shmget-beside-stat-" + std::to_string(count);
    const auto run = shared_worker(name, 2);
    std::vector<Goal> goals;
    std::vector<Goal> goals_beside;
    if (count == 1) goals.push_back(of_floor(2.5));
    if (count == 100) goals.push_back(at_most(0.5 * kMillisecond));
    if (count == 1000) {
      goals.push_back(at_most(8 * kMillisecond));
      goals_beside.push_back(of_workload(0.1, "stat-" + name));
    }
    all.push_back(make("stat-" + name, Unit::kNanoseconds, std::move(goals), number_of(run, 0)));
    all.back().heavy = count > 100;
    all.back().floor = FloorKind::kNotification;
    all.back().callers = 2;
    all.push_back(make(beside, Unit::kNanoseconds, std::move(goals_beside), number_of(run, 1)));
    all.back().heavy = count > 100;
    all.back().floor = FloorKind::kNotification;
    all.back().callers = 2;
  }
}

void add_whole_programs(std::vector<Workload>& all) {
  all.push_back(make("start", Unit::kNanoseconds, {over_native(5 * kMillisecond), of_floor(1)},
                     run_start_in));
  all.back().floor = FloorKind::kBubblewrap;
  all.push_back(make("idle-pss", Unit::kBytes, {at_most(6 * kMiB)}, idle_pss));
  all.push_back(make("idle-pss-per-segment", Unit::kBytes, {at_most(kKiB)}, pss_per_segment));
  all.push_back(make("idle-wake-ups", Unit::kWakeUps, {at_most(0)}, idle_wake_ups));

  const auto cluster = std::make_shared<PostgresCluster>();
  const auto run = std::make_shared<SharedRun>(
      [cluster](const Placement& placement) { return cluster->measure(placement); });
  all.push_back(
      make("parallel-scan", Unit::kNanoseconds, {of_native(1 / 0.98)}, number_of(run, 0)));
  all.back().heavy = true;
  all.push_back(make("pgbench-select", Unit::kPerSecond, {of_native(0.98)}, number_of(run, 1)));
  all.back().heavy = true;
  all.push_back(make("php-attach-detach", Unit::kNanoseconds, {of_native(10)}, run_php_in));
  all.push_back(make("python-attach-detach", Unit::kNanoseconds, {of_native(10)}, run_python_in));
  all.push_back(
      make("x11-segment-each-image", Unit::kNanoseconds, {of_native(10)}, run_x11_images_in));
  all.back().heavy = true;
  all.push_back(make("x11perf-shmput500", Unit::kPerSecond, {of_native(0.98)}, run_shmput_in));
  all.back().heavy = true;
}

}  // namespace

std::vector<Workload> all_workloads(std::size_t descriptors) {
  std::vector<Workload> all;
  add_unrelated(all);
  add_single_calls(all);
  add_memory(all);
  add_parallel(all);
  add_many_segments(all, descriptors);
  add_many_processes(all);
  add_whole_programs(all);
  return all;
}

}  // namespace shmvisor
