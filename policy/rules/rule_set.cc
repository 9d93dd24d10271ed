#include "policy/rules/rule_set.h"

#include <utility>

namespace shmvisor {
namespace {

enum class Match : std::uint8_t { kNo, kYes, kUnknown };

template <typename Number>
bool fits(const NumberRanges& ranges, const std::optional<Number>& number) {
  return ranges.empty() || (number && has_number(ranges, *number));
}

bool fits(const std::vector<std::string>& patterns, std::span<const std::string> names) {
  return std::any_of(patterns.begin(), patterns.end(), [names](const std::string& pattern) {
    return std::any_of(names.begin(), names.end(),
                       [&pattern](const std::string& name) { return fits_pattern(pattern, name); });
  });
}

Match matches(const Rule& rule, CallFacts& call) {
  const bool fits_so_far = (rule.calls.empty() || rule.calls.has(call.call())) &&
                           (rule.containers.empty() || fits(rule.containers, call.containers())) &&
                           (rule.uids.empty() || has_number(rule.uids, call.uid())) &&
                           (rule.gids.empty() || has_number(rule.gids, call.gid())) &&
                           (rule.keys.empty() || fits(rule.keys, call.key())) &&
                           (rule.sizes.empty() || fits(rule.sizes, call.size_bytes()));
  if (!fits_so_far) return Match::kNo;
  if (rule.commands.empty()) return Match::kYes;
  const auto command = call.command();
  if (!command) return Match::kUnknown;
  return fits(rule.commands, {&*command, 1}) ? Match::kYes : Match::kNo;
}

/// The generator splitmix64 (Steele, Lea, Flood 2014), as a function: the number at `place` of the
/// sequence that `seed` begins.
std::uint64_t random_number(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t mixed = seed + place * 0x9e3779b97f4a7c15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31);
}

/// As many bits as a double has.
bool is_chosen(double fraction, std::uint64_t random) {
  constexpr double kValues = 9007199254740992.0;  // 2^53
  return static_cast<double>(random >> 11) < fraction * kValues;
}

}  // namespace

bool fits_pattern(std::string_view pattern, std::string_view text) {
  // After a '*' that turns out to stand for too little, it stands for one letter more.
  std::size_t in_pattern = 0;
  std::size_t in_text = 0;
  std::size_t star = std::string_view::npos;
  std::size_t behind_star = 0;
  while (in_text < text.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      behind_star = in_text;
    } else if (in_pattern < pattern.size() && pattern[in_pattern] == text[in_text]) {
      ++in_pattern;
      ++in_text;
    } else if (star != std::string_view::npos) {
      in_pattern = star + 1;
      in_text = ++behind_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in_pattern) == std::string_view::npos;
}

RuleSet::RuleSet(std::vector<Rule> rules)
    : rules_(std::move(rules)), matched_(new std::atomic<std::uint64_t>[rules_.size()]()) {}

Ruling RuleSet::judge(CallFacts& call) {
  for (std::size_t place = 0; place < rules_.size(); ++place) {
    const Rule& rule = rules_[place];
    const Match match = matches(rule, call);
    if (match == Match::kNo) continue;
    Ruling ruling;
    ruling.rule = &rule;
    ruling.unknown = match == Match::kUnknown;
    if (ruling.unknown) return ruling;
    if (rule.action == RuleAction::kDeny) ruling.error = rule.error;
    if (rule.action == RuleAction::kFault && strikes(place)) {
      ruling.error = rule.error;
      ruling.delay = rule.delay;
    }
    return ruling;
  }
  return {};
}

bool RuleSet::strikes(std::size_t place) {
  const Rule& rule = rules_[place];
  const std::uint64_t number = matched_[place].fetch_add(1, std::memory_order_relaxed) + 1;
  switch (rule.choice) {
    case FaultChoice::kAll:
      return true;
    case FaultChoice::kNth:
      return number == rule.number;
    case FaultChoice::kEvery:
      return rule.number != 0 && number % rule.number == 0;
    case FaultChoice::kFraction:
      return is_chosen(rule.fraction, random_number(rule.seed, number));
  }
  return false;
}

}  // namespace shmvisor
