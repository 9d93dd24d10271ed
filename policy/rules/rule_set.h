// RuleSet: the rules of an operator, in order: the first that matches a call decides.
//
// What a call is asked for may cost a look into /proc, so it is asked for only where a rule needs
// it, and what costs most comes last.
//
// A fault counts the calls that match it, each for itself. Which of them it strikes depends on that
// number and the rule alone, so a run that makes the same calls is struck at the same places.
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/rules/rule.h"

namespace shmvisor {

/// A call, as far as rules look at it.
class CallFacts {
 public:
  CallFacts() = default;
  CallFacts(const CallFacts&) = delete;
  CallFacts& operator=(const CallFacts&) = delete;
  virtual ~CallFacts() = default;

  [[nodiscard]] virtual RuledCall call() = 0;
  [[nodiscard]] virtual std::uint32_t uid() = 0;
  [[nodiscard]] virtual std::uint32_t gid() = 0;
  /// Nothing where the call concerns no segment, or one that does not exist.
  [[nodiscard]] virtual std::optional<std::uint32_t> key() = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> size_bytes() = 0;
  /// What the container of the caller is called, all of its names; none where it is in none.
  [[nodiscard]] virtual std::span<const std::string> containers() = 0;
  /// The path of the caller's program; nothing where that cannot be told.
  [[nodiscard]] virtual std::optional<std::string> command() = 0;
};

/// What is to be done with a call.
struct Ruling {
  /// The rule that decides; null where none matches. It lives as long as the set.
  const Rule* rule = nullptr;
  /// Whether the call is to be refused with this errno; 0: it is not.
  int error = 0;
  std::chrono::microseconds delay{0};
  /// A rule asked for what could not be told, so that nobody knows what is to be done.
  bool unknown = false;
};

class RuleSet {
 public:
  explicit RuleSet(std::vector<Rule> rules);

  [[nodiscard]] Ruling judge(CallFacts& call);
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

 private:
  [[nodiscard]] bool strikes(std::size_t place);

  const std::vector<Rule> rules_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> matched_;  ///< calls, by the rule's place
};

}  // namespace shmvisor
