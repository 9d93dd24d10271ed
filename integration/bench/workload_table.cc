// Which workloads there are, and what each is held against.
#include "integration/bench/idle_probe.h"
#include "integration/bench/postgres_cluster.h"
#include "integration/bench/worker_run.h"
#include "integration/bench/workload.h"
#include "integration/bench/x11_run.h"

namespace shmvisor {
namespace {

constexpr double kMillisecond = 1e6;  // in nanoseconds
constexpr double kKiB = 1024;
constexpr double kMiB = 1024 * kKiB;

Goal of_native(double bound) { return {GoalKind::kOfNative, bound, {}}; }
Goal of_floor(double bound) { return {GoalKind::kOfFloor, bound, {}}; }
Goal at_most(double bound) { return {GoalKind::kAbsolute, bound, {}}; }
Goal of_workload(double bound, const std::string& other) {
  return {GoalKind::kOfWorkload, bound, other};
}

Workload worker(const std::string& name, FloorKind floor, std::vector<Goal> goals) {
  Workload workload;
  workload.name = name;
  workload.floor = floor;
  workload.goals = std::move(goals);
  workload.measure = [name](const Placement& placement) { return run_worker_in(placement, name); };
  return workload;
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
  all.push_back(worker("create-remove", kFloor, {of_floor(4)}));
  all.push_back(worker("stat-unattached", kFloor, {of_floor(1.5)}));
  all.push_back(worker("shmat", kFloor, {of_floor(3)}));
  all.push_back(worker("shmdt", kFloor, {}));
  all.push_back(worker("attach-detach-4K", kFloor, {of_native(8)}));
  all.push_back(worker("attach-detach-64M", kFloor, {of_native(8)}));
  all.push_back(worker("attach-detach-1G", kFloor, {of_native(8)}));
}

void add_memory(std::vector<Workload>& all) {
  all.push_back(worker("first-touch", FloorKind::kNone, {of_native(1 / 0.98)}));
  all.push_back(worker("copy-bandwidth", FloorKind::kNone, {of_native(0.98)}));
  all.back().unit = Unit::kBytesPerSecond;
}

void add_parallel(std::vector<Workload>& all) {
  struct Crew {
    const char* name;
    int callers;
  };
  for (const std::string call : {"shmget", "create-remove", "attach-detach"}) {
    for (const Crew crew : {Crew{"1-process", 1}, Crew{"2-processes", 2}, Crew{"4-processes", 4},
                            Crew{"16-processes", 16}, Crew{"16-threads", 16}}) {
      std::vector<Goal> goals;
      if (std::string(crew.name) == "4-processes") {
        goals.push_back(of_workload(1 / 2.5, call + "-1-process"));
      }
      all.push_back(worker(call + "-" + crew.name, FloorKind::kNotification, std::move(goals)));
      all.back().callers = crew.callers;
    }
  }
}

void add_crowds(std::vector<Workload>& all) {
  for (const std::string call : {"shmget", "stat", "create-remove", "attach-detach"}) {
    for (const int count : {10, 1000, 16000, 32768}) {
      std::vector<Goal> goals;
      if (count != 10) goals.push_back(of_workload(1.2, call + "-among-10"));
      all.push_back(worker(call + "-among-" + std::to_string(count), FloorKind::kNotification,
                           std::move(goals)));
      all.back().heavy = count > 1000;
    }
  }
  all.push_back(worker("stat-attached-1", FloorKind::kNotification, {}));
  all.push_back(worker("stat-attached-100", FloorKind::kNotification, {}));
  all.push_back(
      worker("stat-attached-1000", FloorKind::kNotification, {at_most(20 * kMillisecond)}));
  all.back().heavy = true;
  all.push_back(worker("shmget-beside-counting-1000", FloorKind::kNotification,
                       {of_workload(0.1, "stat-attached-1000")}));
  all.back().heavy = true;
  all.back().callers = 2;
}

Workload other(const std::string& name, Unit unit, std::vector<Goal> goals,
               MeasureFunction measure) {
  Workload workload;
  workload.name = name;
  workload.unit = unit;
  workload.goals = std::move(goals);
  workload.measure = std::move(measure);
  return workload;
}

void add_whole_programs(std::vector<Workload>& all) {
  all.push_back(other("start", Unit::kNanoseconds,
                      {{GoalKind::kOverNative, 5 * kMillisecond, {}}, of_floor(1)}, run_start_in));
  all.back().floor = FloorKind::kBubblewrap;
  all.push_back(other("idle-pss", Unit::kBytes, {at_most(6 * kMiB)}, idle_pss));
  all.push_back(other("idle-pss-per-segment", Unit::kBytes, {at_most(kKiB)}, pss_per_segment));
  all.push_back(other("idle-wake-ups", Unit::kWakeUps, {at_most(0)}, idle_wake_ups));

  const auto cluster = std::make_shared<PostgresCluster>();
  all.push_back(
      other("pgbench-select", Unit::kPerSecond, {of_native(0.98)},
            [cluster](const Placement& placement) { return cluster->select(placement); }));
  all.back().heavy = true;
  all.push_back(
      other("parallel-scan", Unit::kNanoseconds, {of_native(1 / 0.98)},
            [cluster](const Placement& placement) { return cluster->parallel_scan(placement); }));
  all.back().heavy = true;
  all.push_back(other("x11perf-shmput500", Unit::kPerSecond, {of_native(0.98)}, run_shmput_in));
  all.back().heavy = true;
}

}  // namespace

std::vector<Workload> all_workloads() {
  std::vector<Workload> all;
  add_unrelated(all);
  add_single_calls(all);
  add_memory(all);
  add_parallel(all);
  add_crowds(all);
  add_whole_programs(all);
  return all;
}

}  // namespace shmvisor
