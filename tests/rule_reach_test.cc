// Which rules can decide no call: nothing that is said to be so ever decides one.
#include "policy/rules/rule_reach.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "policy/rules/rule_set.h"

namespace shmvisor {
namespace {

Rule rule_of(RuledCalls calls) {
  Rule rule;
  rule.calls = calls;
  return rule;
}

RuledCalls only(RuledCall call) {
  RuledCalls calls;
  calls.add(call);
  return calls;
}

/// Whether the first stands in the way of the second.
bool is_shadowed(const Rule& earlier, const Rule& later) {
  return find_shadowed({earlier, later}) == std::vector<ShadowedRule>{{1, 0}};
}

TEST(RuleReachTest, CallsThatNameNoSegment) {
  RuledCalls calls;
  EXPECT_FALSE(name_no_segment(calls)) << "none are all";
  calls.add(RuledCall::kIpcInfo);
  EXPECT_TRUE(name_no_segment(calls));
  calls.add(RuledCall::kShmInfo);
  EXPECT_TRUE(name_no_segment(calls));
  calls.add(RuledCall::kShmStat);
  EXPECT_FALSE(name_no_segment(calls));
}

TEST(RuleReachTest, ARuleWithoutConditionsStandsInTheWayOfAll) {
  Rule narrow = rule_of(only(RuledCall::kShmat));
  narrow.keys = {{7, 7}};
  narrow.commands = {"/usr/bin/psql"};
  narrow.containers = {"group:web"};
  EXPECT_TRUE(is_shadowed({}, narrow));
  EXPECT_TRUE(is_shadowed({}, {}));
  EXPECT_FALSE(is_shadowed(narrow, {}));
  EXPECT_EQ(find_shadowed({narrow, {}, narrow, {}}), (std::vector<ShadowedRule>{{2, 0}, {3, 1}}));
  EXPECT_TRUE(find_shadowed({}).empty());
}

TEST(RuleReachTest, CallsAreAllWhereAllAreNamed) {
  RuledCalls all;
  all.add_shmctl();
  EXPECT_TRUE(is_shadowed(rule_of(all), rule_of(only(RuledCall::kIpcStat))));
  EXPECT_FALSE(is_shadowed(rule_of(all), rule_of({})));
  all.add(RuledCall::kShmget);
  all.add(RuledCall::kShmat);
  all.add(RuledCall::kShmdt);
  EXPECT_TRUE(is_shadowed(rule_of(all), rule_of({})));
}

TEST(RuleReachTest, RangesThatMeetAreOne) {
  Rule earlier;
  earlier.sizes = {{10, 19}, {0, 9}, {30, 40}};
  Rule later;
  later.sizes = {{5, 15}};
  EXPECT_TRUE(is_shadowed(earlier, later));
  later.sizes = {{5, 15}, {31, 31}};
  EXPECT_TRUE(is_shadowed(earlier, later));
  later.sizes = {{5, 31}};
  EXPECT_FALSE(is_shadowed(earlier, later));
  later.sizes = {};
  EXPECT_FALSE(is_shadowed(earlier, later));
  earlier.sizes = {{0, UINT64_MAX}};
  EXPECT_FALSE(is_shadowed(earlier, later)) << "a call that names no segment has no size";
  earlier = {};
  earlier.uids = {{0, UINT32_MAX - 1}};
  EXPECT_TRUE(is_shadowed(earlier, later)) << "each caller has a uid";
}

TEST(RuleReachTest, PatternsOfPatterns) {
  Rule earlier;
  earlier.commands = {"/usr/*/psql", "/opt/*"};
  Rule later;
  for (const char* const within :
       {"/usr/bin/psql", "/usr/*/bin/psql", "/usr/*/*/psql", "/opt/a*b"}) {
    later.commands = {within};
    EXPECT_TRUE(is_shadowed(earlier, later)) << within;
  }
  for (const char* const beyond : {"/usr/bin/psq*", "*/psql", "/opt", "*"}) {
    later.commands = {beyond, "/opt/x"};
    EXPECT_FALSE(is_shadowed(earlier, later)) << beyond;
  }
  earlier.commands = {"*"};
  EXPECT_TRUE(is_shadowed(earlier, {})) << "each program has a path";
  earlier = {};
  earlier.containers = {"*"};
  EXPECT_FALSE(is_shadowed(earlier, {})) << "not each caller is in a container";
}

TEST(RuleReachTest, VeryManyRulesTakeABoundedTime) {
  Rule rule;
  for (std::uint64_t i = 0; i < 2000; ++i) rule.sizes.push_back({i * 3, i * 3});
  rule.commands = {std::string(2000, 'a') + "*" + std::string(2000, 'b')};
  std::vector<Rule> rules(1024, rule);
  for (std::size_t i = 0; i < rules.size(); ++i) rules[i].commands.front() += std::to_string(i);
  EXPECT_TRUE(find_shadowed(rules).empty());
}

/// Few values, so that rules meet calls and each other often.
class Dice {
 public:
  explicit Dice(std::uint32_t seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t bound) { return random_() % bound; }
  bool one_in(std::uint32_t number) { return below(number) == 0; }

  NumberRanges ranges() {
    NumberRanges ranges;
    for (auto left = one_in(2) ? 0 : 1 + below(3); left > 0; --left) {
      const std::uint64_t first = below(5);
      ranges.push_back({first, one_in(4) ? UINT32_MAX - 1 : first + below(3)});
    }
    return ranges;
  }
  std::vector<std::string> patterns() {
    static const std::vector<std::string> kPatterns = {"/a", "/b", "/*", "/a*", "*b", "/ab", "*"};
    std::vector<std::string> some;
    for (auto left = one_in(2) ? 0 : 1 + below(2); left > 0; --left) {
      some.push_back(kPatterns[below(static_cast<std::uint32_t>(kPatterns.size()))]);
    }
    return some;
  }
  Rule rule() {
    Rule rule;
    for (auto left = one_in(2) ? 0 : 1 + below(3); left > 0; --left) {
      rule.calls.add(static_cast<RuledCall>(below(13)));
    }
    if (one_in(6)) rule.calls.add_shmctl();
    if (one_in(2)) rule.uids = ranges();
    if (one_in(2)) rule.gids = ranges();
    if (one_in(2)) rule.keys = ranges();
    if (one_in(2)) rule.sizes = ranges();
    if (one_in(2)) rule.commands = patterns();
    if (one_in(2)) rule.containers = patterns();
    return rule;
  }

 private:
  std::mt19937 random_;
};

class RandomCall final : public CallFacts {
 public:
  explicit RandomCall(Dice& dice)
      : call_(static_cast<RuledCall>(dice.below(13))),
        uid_(dice.below(8)),
        gid_(dice.below(8)),
        command_(kPaths[dice.below(6)]) {
    const bool names_segment = call_ != RuledCall::kIpcInfo && call_ != RuledCall::kShmInfo;
    if (names_segment && !dice.one_in(4)) key_ = dice.below(8);
    if (key_) size_ = dice.below(8);
    if (dice.one_in(2)) containers_.emplace_back(kPaths[dice.below(6)]);
  }
  RuledCall call() override { return call_; }
  std::uint32_t uid() override { return uid_; }
  std::uint32_t gid() override { return gid_; }
  std::optional<std::uint32_t> key() override { return key_; }
  std::optional<std::uint64_t> size_bytes() override { return size_; }
  std::span<const std::string> containers() override { return containers_; }
  std::optional<std::string> command() override { return command_; }

 private:
  static constexpr const char* kPaths[] = {"/a", "/b", "/ab", "/abb", "/cb", "/c"};
  RuledCall call_;
  std::uint32_t uid_;
  std::uint32_t gid_;
  std::optional<std::uint32_t> key_ = std::nullopt;
  std::optional<std::uint64_t> size_ = std::nullopt;
  std::vector<std::string> containers_ = {};
  std::string command_;
};

TEST(RuleReachTest, WhatIsShadowedDecidesNoCall) {
  Dice dice(11);
  std::size_t shadowed_rules = 0;
  for (int set = 0; set < 2000; ++set) {
    std::vector<Rule> rules;
    for (int i = 0; i < 4; ++i) rules.push_back(dice.rule());
    const auto shadowed = find_shadowed(rules);
    shadowed_rules += shadowed.size();
    RuleSet judge(rules);
    for (int i = 0; !shadowed.empty() && i < 300; ++i) {
      RandomCall call(dice);
      const Rule* const rule = judge.judge(call).rule;
      for (const ShadowedRule& one : shadowed) {
        ASSERT_NE(rule, &judge.rules()[one.rule]) << "set " << set << ", rule " << one.rule;
      }
    }
  }
  EXPECT_GT(shadowed_rules, 300U);
}

}  // namespace
}  // namespace shmvisor
