// Workload: one thing that is measured, in every column, and the goals that it is held against.
//
// Thread rule: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "integration/bench/outcome.h"

namespace shmvisor {

/// The floor that a workload is compared with (floor_supervisor.h).
enum class FloorKind : std::uint8_t {
  kNone,
  kAllowFilter,   ///< for calls that are not ours
  kNotification,  ///< for calls that are
  kBubblewrap,    ///< for the start of a command: the usual small launcher, where installed
};

enum class Unit : std::uint8_t {
  kNanoseconds,  ///< for one operation
  kBytes,
  kBytesPerSecond,
  kPerSecond,  ///< of work that is done
  kWakeUps,    ///< in a second: better few
};
[[nodiscard]] bool higher_is_better(Unit unit);
/// With a prefix and three digits: "12.3 µs".
[[nodiscard]] std::string format_value(double value, Unit unit);

enum class GoalKind : std::uint8_t {
  kOfNative,    ///< shmvisor's value over the native one
  kOfFloor,     ///< over the floor's
  kOfWorkload,  ///< over shmvisor's own value in another workload
  kRate,        ///< shmvisor's calls in a second over those in another workload: at least
  kOverNative,  ///< minus the native one, in the workload's unit
  kAbsolute,    ///< as it is
};

/// At most `bound`; at least, where higher is better.
struct Goal {
  GoalKind kind = GoalKind::kAbsolute;
  double bound = 0;
  std::string other;     ///< kOfWorkload, kRate: its name
  bool further = false;  ///< what to try for when another goal is met
};

/// How a program is run in one column.
struct Placement {
  std::vector<std::string> prefix;  ///< put before its command line
  bool cooperate = false;           ///< a worker is to map what the floor supervisor hands it
  std::chrono::milliseconds budget{};
  std::string self;  ///< this program, to be run as a worker
};

using MeasureFunction = std::function<Outcome(const Placement&)>;

struct Workload {
  std::string name;
  Unit unit = Unit::kNanoseconds;
  FloorKind floor = FloorKind::kNone;
  std::vector<Goal> goals;
  MeasureFunction measure;
  int callers = 1;     ///< at a time: the floor supervisor gets threads for them
  bool heavy = false;  ///< takes seconds to set up: left out of --quick
};

/// All of them, in the order of the table. `descriptors`: the hard limit on them, which bounds the
/// number of segments.
std::vector<Workload> all_workloads(std::size_t descriptors);

}  // namespace shmvisor
