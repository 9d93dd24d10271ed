// Rule: what an operator wants done with calls that match it: nothing, a refusal, a log line, or a
// fault for the tests of other people's error paths.
//
// A condition that is empty matches every call. All conditions of a rule must match. What a match
// can see of each call is said in supervisor/config/README.md.
//
// Thread rule: plain values.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace shmvisor {

/// What a rule can name as a call: shmget(2), shmat(2), shmdt(2), and each command of shmctl(2).
enum class RuledCall : std::uint8_t {
  kShmget,
  kShmat,
  kShmdt,
  kIpcRmid,
  kIpcSet,
  kIpcStat,
  kIpcInfo,
  kShmLock,
  kShmUnlock,
  kShmStat,
  kShmStatAny,
  kShmInfo,
  kOtherCommand,  ///< a command of shmctl that there is none of
};

struct RuledCallName {
  const char* name;
  RuledCall call;
};
/// As they are written; "shmctl" stands for all of its commands.
inline constexpr std::array kRuledCallNames = {
    RuledCallName{"shmget", RuledCall::kShmget},
    RuledCallName{"shmat", RuledCall::kShmat},
    RuledCallName{"shmdt", RuledCall::kShmdt},
    RuledCallName{"IPC_RMID", RuledCall::kIpcRmid},
    RuledCallName{"IPC_SET", RuledCall::kIpcSet},
    RuledCallName{"IPC_STAT", RuledCall::kIpcStat},
    RuledCallName{"IPC_INFO", RuledCall::kIpcInfo},
    RuledCallName{"SHM_LOCK", RuledCall::kShmLock},
    RuledCallName{"SHM_UNLOCK", RuledCall::kShmUnlock},
    RuledCallName{"SHM_STAT", RuledCall::kShmStat},
    RuledCallName{"SHM_STAT_ANY", RuledCall::kShmStatAny},
    RuledCallName{"SHM_INFO", RuledCall::kShmInfo}};

/// A set of RuledCall.
class RuledCalls {
 public:
  constexpr RuledCalls() = default;
  constexpr void add(RuledCall call) { bits_ |= bit(call); }
  constexpr void add_shmctl() { bits_ |= ~(bit(RuledCall::kIpcRmid) - 1); }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool has(RuledCall call) const { return (bits_ & bit(call)) != 0; }
  /// Whether all of `others` are among these, where an empty set stands for each call.
  [[nodiscard]] constexpr bool include(RuledCalls others) const {
    return (others.all() & ~all()) == 0;
  }
  friend constexpr bool operator==(RuledCalls, RuledCalls) = default;

 private:
  static constexpr std::uint32_t bit(RuledCall call) {
    return std::uint32_t{1} << static_cast<unsigned>(call);
  }
  [[nodiscard]] constexpr std::uint32_t all() const { return bits_ == 0 ? ~0U : bits_; }
  std::uint32_t bits_ = 0;
};

/// From `first` to `last`, both included.
struct NumberRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  [[nodiscard]] constexpr bool has(std::uint64_t number) const {
    return first <= number && number <= last;
  }
  friend constexpr bool operator==(const NumberRange&, const NumberRange&) = default;
};

using NumberRanges = std::vector<NumberRange>;
inline bool has_number(const NumberRanges& ranges, std::uint64_t number) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [number](const NumberRange& one) { return one.has(number); });
}

/// Whether the pattern is `text`, where '*' stands for any letters, '/' among them, or none.
[[nodiscard]] bool fits_pattern(std::string_view pattern, std::string_view text);

enum class RuleAction : std::uint8_t {
  kAllow,
  kDeny,   ///< fails with `error`
  kLog,    ///< is allowed, with a log line
  kFault,  ///< some of the calls wait for `delay`, and fail with `error` where there is one
};

/// Which of the calls that match a fault are struck.
enum class FaultChoice : std::uint8_t {
  kAll,
  kNth,       ///< the one with that number, counted from 1
  kEvery,     ///< each whose number can be divided by it
  kFraction,  ///< so many of them, chosen by the seed
};

struct Rule {
  RuledCalls calls;
  NumberRanges uids;                    ///< effective, as the supervisor's user namespace has them
  NumberRanges gids;                    ///< the same
  NumberRanges keys;                    ///< 0 is IPC_PRIVATE
  NumberRanges sizes;                   ///< in bytes
  std::vector<std::string> commands;    ///< patterns of the path of the program's file
  std::vector<std::string> containers;  ///< patterns of a container's id, or of "group:NAME"

  RuleAction action = RuleAction::kAllow;
  int error = 0;  ///< an errno; 0: a fault lets the call go on
  FaultChoice choice = FaultChoice::kAll;
  std::uint64_t number = 0;  ///< of kNth and kEvery
  double fraction = 0;       ///< of kFraction: 0 to 1
  std::uint64_t seed = 0;
  std::chrono::microseconds delay{0};

  /// Its place among all rules, from 1 on, and the line of its file: what refusals are told by.
  std::uint32_t place = 0;
  std::uint32_t line = 0;

  friend bool operator==(const Rule&, const Rule&) = default;
};

/// Whether they say the same, wherever they are.
[[nodiscard]] inline bool say_the_same(const Rule& one, const Rule& other) {
  const auto says = [](const Rule& rule) {
    return std::tie(rule.calls, rule.action, rule.error, rule.choice, rule.number, rule.fraction,
                    rule.seed, rule.delay, rule.uids, rule.gids, rule.keys, rule.sizes,
                    rule.commands, rule.containers);
  };
  return says(one) == says(other);
}

/// Of one call; a caller that must wait longer would be taken for hung.
inline constexpr std::chrono::seconds kLongestDelay{60};

}  // namespace shmvisor
