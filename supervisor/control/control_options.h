// ControlOptions: whether a run or an agent opens a control socket, and where.
//
// Thread rule: plain values.
#pragma once

#include <string>

namespace shmvisor {

struct ControlOptions {
  /// Where the socket shall be: a path, kAuto for the default place, or empty.
  std::string path = {};
  /// What clients call the run; empty: its pid alone.
  std::string name = {};

  static constexpr const char* kAuto = "auto";

  /// A socket costs a descriptor, a file and 40 µs at the start: only who asks for one has it.
  [[nodiscard]] bool wanted() const { return !path.empty() || !name.empty(); }
};

}  // namespace shmvisor
