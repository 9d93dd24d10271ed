// Outcome: what one measurement gave: a number, or the reason why there is none.
//
// Thread rule: a plain value.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace shmvisor {

/// Reasons why there can be no number, which need not be told.
inline constexpr const char* kNoFloor = "no floor";
inline constexpr const char* kNoSupervisor = "no supervisor";

struct Outcome {
  std::optional<double> value;  ///< in the unit of its workload
  std::string reason;           ///< why there is no value

  static Outcome of(double value) { return {value, {}}; }
  static Outcome none(std::string reason) { return {std::nullopt, std::move(reason)}; }
};

}  // namespace shmvisor
