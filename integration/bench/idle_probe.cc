#include "integration/bench/idle_probe.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "integration/bench/launched.h"
#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

using std::chrono::seconds;

/// The number behind `field` of a file of lines "field: number ...".
std::optional<double> number_in(const std::string& path, const std::string& field) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field, 0) == 0) return std::strtod(line.c_str() + field.size(), nullptr);
  }
  return std::nullopt;
}

Outcome pss_bytes(pid_t pid) {
  const auto kib = number_in("/proc/" + std::to_string(pid) + "/smaps_rollup", "Pss:");
  if (!kib) return Outcome::none("no /proc/PID/smaps_rollup");
  return Outcome::of(*kib * 1024);
}

double context_switches(pid_t pid) {
  double sum = 0;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    const std::string status = task.path().string() + "/status";
    for (const char* field : {"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"}) {
      sum += number_in(status, field).value_or(0);
    }
  }
  return sum;
}

/// Looks at the supervisor of an idle worker.
Outcome of_idle_supervisor(const Placement& placement, const std::string& worker,
                           const std::function<Outcome(pid_t)>& look) {
  if (placement.prefix.empty()) return Outcome::none(kNoSupervisor);
  auto launched = Launched::start(worker_command(placement, worker));
  if (!launched) return Outcome::none("cannot be started");
  Outcome outcome = Outcome::none({});
  if (launched->wait_for_line(seconds(60))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // threads on their way to sleep
    outcome = look(launched->pid());
  }
  const Finished finished = launched->finish(seconds(60));
  return finished.ok() ? outcome : Outcome::none(finished.complaint());
}

}  // namespace

Outcome idle_pss(const Placement& placement) {
  return of_idle_supervisor(placement, "idle-with-1", pss_bytes);
}

Outcome pss_per_segment(const Placement& placement) {
  constexpr double kMore = 5000 - 1000;
  Outcome few = of_idle_supervisor(placement, "idle-with-1000", pss_bytes);
  if (!few.value) return few;
  Outcome many = of_idle_supervisor(placement, "idle-with-5000", pss_bytes);
  if (!many.value) return many;
  return Outcome::of((*many.value - *few.value) / kMore);
}

Outcome idle_wake_ups(const Placement& placement) {
  return of_idle_supervisor(placement, "idle-with-1", [&placement](pid_t pid) {
    const auto watched = std::max(placement.budget * 10, std::chrono::milliseconds(1000));
    const double before = context_switches(pid);
    std::this_thread::sleep_for(watched);
    const double switches = context_switches(pid) - before;
    return Outcome::of(switches / std::chrono::duration<double>(watched).count());
  });
}

}  // namespace shmvisor
