#include "policy/rules/rule_reach.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace shmvisor {
namespace {

/// How much may be compared, in ranges and in bytes of patterns: less than a second's work, and far
/// more than people write.
constexpr std::size_t kMostWork = 100'000'000;

/// Looks at pairs of rules until the bound of work is reached.
class Cover {
 public:
  [[nodiscard]] bool exhausted() const { return work_ > kMostWork; }

  /// Whether `earlier` decides each call that `later` matches.
  bool covers(const Rule& earlier, const Rule& later) {
    ++work_;
    return earlier.calls.include(later.calls) && has_all(earlier.uids, whole(later.uids)) &&
           has_all(earlier.gids, whole(later.gids)) &&
           // A call that names no segment has neither key nor size, which no range of them has.
           has_all(earlier.keys, later.keys) && has_all(earlier.sizes, later.sizes) &&
           fit_all(earlier.containers, later.containers) && has_commands(earlier, later);
  }

 private:
  /// Without a condition any id matches. None is UINT32_MAX, which setuid(2) takes for "as it is".
  static const NumberRanges& whole(const NumberRanges& ids) {
    static const NumberRanges kAll{{0, UINT32_MAX - 1}};
    return ids.empty() ? kAll : ids;
  }

  /// Empty ranges: no condition.
  bool has_all(NumberRanges ranges, const NumberRanges& wanted) {
    if (ranges.empty()) return true;
    if (wanted.empty()) return false;
    work_ += ranges.size() * 16 + wanted.size();
    std::ranges::sort(ranges, {}, &NumberRange::first);
    NumberRanges joined{ranges.front()};
    for (const NumberRange& one : ranges) {
      NumberRange& last = joined.back();
      const bool is_apart = one.first > last.last && one.first - last.last > 1;
      if (is_apart) {
        joined.push_back(one);
      } else {
        last.last = std::max(last.last, one.last);
      }
    }
    return std::ranges::all_of(wanted, [&](const NumberRange& one) {
      const auto behind = std::ranges::upper_bound(joined, one.first, {}, &NumberRange::first);
      return behind != joined.begin() && std::prev(behind)->last >= one.last;
    });
  }

  /// Whether whatever fits one of `wanted` fits one of `patterns`. A '*' of the one is a letter
  /// here, which a '*' of the other alone stands for: so it stands for whatever the first does.
  bool fit_all(const std::vector<std::string>& patterns, const std::vector<std::string>& wanted) {
    if (patterns.empty()) return true;
    if (wanted.empty()) return false;
    return std::ranges::all_of(wanted, [&](const std::string& one) {
      return std::ranges::any_of(patterns, [&](const std::string& pattern) {
        work_ += (pattern.size() + 1) * (std::ranges::count(pattern, '*') == 0 ? 1 : one.size());
        return !exhausted() && fits_pattern(pattern, one);
      });
    });
  }

  /// Each program has a path, or its calls are refused by the first rule that asks for it.
  bool has_commands(const Rule& earlier, const Rule& later) {
    const auto is_any = [](const std::string& one) {
      return one.find_first_not_of('*') == std::string::npos;
    };
    return std::ranges::any_of(earlier.commands, is_any) ||
           fit_all(earlier.commands, later.commands);
  }

  std::size_t work_ = 0;
};

}  // namespace

bool name_no_segment(RuledCalls calls) {
  RuledCalls without;
  without.add(RuledCall::kIpcInfo);
  without.add(RuledCall::kShmInfo);
  return !calls.empty() && without.include(calls);
}

std::vector<ShadowedRule> find_shadowed(const std::vector<Rule>& rules) {
  Cover cover;
  std::vector<ShadowedRule> found;
  for (std::size_t rule = 1; rule < rules.size(); ++rule) {
    for (std::size_t earlier = 0; earlier < rule; ++earlier) {
      const bool covers = cover.covers(rules[earlier], rules[rule]);
      if (cover.exhausted()) return found;
      if (!covers) continue;
      found.push_back({rule, earlier});
      break;
    }
  }
  return found;
}

}  // namespace shmvisor
