// Column: one way to run what is measured: natively, at the floor, under shmvisor, under shmvisor
// without a kernel feature or while somebody looks (observed.h), or under a rival.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "integration/bench/workload.h"

namespace shmvisor {

enum class ColumnKind : std::uint8_t { kNative, kFloor, kShmvisor, kWithout, kObserved, kRival };

struct Column {
  ColumnKind kind = ColumnKind::kNative;
  std::string name;
  std::vector<std::string> prefix;  ///< the floor's depends on the workload
};

struct RunSettings {
  std::string self;                    ///< the path of this program
  std::string shmvisor;                ///< and of shmvisor
  std::vector<std::string> without;    ///< kernel features
  std::vector<std::string> observers;  ///< ways to look
  std::vector<std::string> rivals;     ///< prefixes, "NAME=" before it
  std::string scratch;                 ///< a folder for files
  int repeats = 5;
  std::chrono::milliseconds budget{70};
  std::chrono::seconds bound{0};  ///< for all together: what is not measured by then is not
  bool quick = false;
};

std::vector<Column> make_columns(const RunSettings& settings);

/// How `workload` is run in `column`, or the reason why it cannot be.
std::variant<Placement, std::string> place(const Workload& workload, const Column& column,
                                           const RunSettings& settings);

}  // namespace shmvisor
