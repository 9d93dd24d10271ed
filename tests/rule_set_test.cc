// Which calls a rule matches, and which of them a fault strikes.
#include "policy/rules/rule_set.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace shmvisor {
namespace {

class FakeFacts final : public CallFacts {
 public:
  RuledCall call() override { return its_call; }
  std::uint32_t uid() override { return its_uid; }
  std::uint32_t gid() override { return its_gid; }
  std::optional<std::uint32_t> key() override {
    ++keys_asked;
    return its_key;
  }
  std::optional<std::uint64_t> size_bytes() override { return its_size; }
  std::span<const std::string> containers() override { return its_containers; }
  std::optional<std::string> command() override {
    ++commands_asked;
    return its_command;
  }

  RuledCall its_call = RuledCall::kShmget;
  std::uint32_t its_uid = 1000;
  std::uint32_t its_gid = 100;
  std::optional<std::uint32_t> its_key = 0x77;
  std::optional<std::uint64_t> its_size = 4096;
  std::vector<std::string> its_containers = {};
  std::optional<std::string> its_command = "/usr/bin/psql";
  int keys_asked = 0;
  int commands_asked = 0;
};

Rule deny(int error = EACCES) {
  Rule rule;
  rule.action = RuleAction::kDeny;
  rule.error = error;
  return rule;
}

Rule fault(FaultChoice choice) {
  Rule rule;
  rule.action = RuleAction::kFault;
  rule.error = ENOMEM;
  rule.choice = choice;
  return rule;
}

/// The errno that a set of one rule gives.
int judged(const Rule& rule, FakeFacts& call) { return RuleSet({rule}).judge(call).error; }

TEST(RuleSetTest, WithoutConditionsARuleMatchesEachCall) {
  FakeFacts call;
  EXPECT_EQ(judged(deny(), call), EACCES);
  EXPECT_EQ(call.keys_asked + call.commands_asked, 0);
  RuleSet none({});
  EXPECT_EQ(none.judge(call).rule, nullptr);
}

TEST(RuleSetTest, TheFirstThatMatchesDecides) {
  Rule allow;
  allow.uids = {{0, 999}};
  RuleSet set({allow, deny(EPERM), deny(EACCES)});
  FakeFacts call;
  EXPECT_EQ(set.judge(call).error, EPERM);
  call.its_uid = 999;
  const Ruling ruling = set.judge(call);
  EXPECT_EQ(ruling.error, 0);
  EXPECT_EQ(ruling.rule, &set.rules()[0]);
}

TEST(RuleSetTest, EachConditionMustMatch) {
  const auto with = [](auto change) {
    Rule rule = deny();
    change(rule);
    return rule;
  };
  struct Case {
    Rule rule;
    bool matches;
  };
  RuledCalls get;
  get.add(RuledCall::kShmget);
  RuledCalls control;
  control.add_shmctl();
  const std::vector<Case> cases = {
      {with([&](Rule& rule) { rule.calls = get; }), true},
      {with([&](Rule& rule) { rule.calls = control; }), false},
      {with([](Rule& rule) {
         rule.uids = {{1, 2}, {1000, 1000}};
       }),
       true},
      {with([](Rule& rule) {
         rule.uids = {{1001, 2000}};
       }),
       false},
      {with([](Rule& rule) {
         rule.gids = {{100, 100}};
       }),
       true},
      {with([](Rule& rule) {
         rule.gids = {{1000, 1000}};
       }),
       false},
      {with([](Rule& rule) {
         rule.keys = {{0x70, 0x77}};
       }),
       true},
      {with([](Rule& rule) {
         rule.keys = {{0, 0}};
       }),
       false},
      {with([](Rule& rule) {
         rule.sizes = {{4096, UINT64_MAX}};
       }),
       true},
      {with([](Rule& rule) {
         rule.sizes = {{0, 4095}};
       }),
       false},
      {with([](Rule& rule) {
         rule.commands = {"/bin/x", "/usr/*/psql"};
       }),
       true},
      {with([](Rule& rule) { rule.commands = {"/usr/bin/psq"}; }), false},
      {with([](Rule& rule) { rule.containers = {"*"}; }), false},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    FakeFacts call;
    EXPECT_EQ(judged(cases[i].rule, call) != 0, cases[i].matches) << i;
  }
}

TEST(RuleSetTest, AContainerHasSeveralNames) {
  Rule rule = deny();
  rule.containers = {"group:web*"};
  FakeFacts call;
  call.its_containers = {"0a1b2c", "group:web1"};
  EXPECT_EQ(judged(rule, call), EACCES);
  call.its_containers = {"group:db"};
  EXPECT_EQ(judged(rule, call), 0);
}

TEST(RuleSetTest, ACallWithoutASegmentMatchesNoKeyAndNoSize) {
  FakeFacts call;
  call.its_key.reset();
  call.its_size.reset();
  Rule keyed = deny();
  keyed.keys = {{0, UINT32_MAX}};
  Rule sized = deny();
  sized.sizes = {{0, UINT64_MAX}};
  EXPECT_EQ(judged(keyed, call), 0);
  EXPECT_EQ(judged(sized, call), 0);
}

TEST(RuleSetTest, WhatCostsMuchIsAskedOnlyWhereAllElseMatches) {
  Rule rule = deny();
  rule.uids = {{0, 0}};
  rule.keys = {{0x77, 0x77}};
  rule.commands = {"*"};
  FakeFacts call;
  EXPECT_EQ(judged(rule, call), 0);
  EXPECT_EQ(call.keys_asked + call.commands_asked, 0);
  call.its_uid = 0;
  call.its_key = 1;
  EXPECT_EQ(judged(rule, call), 0);
  EXPECT_EQ(call.commands_asked, 0);
  call.its_key = 0x77;
  EXPECT_EQ(judged(rule, call), EACCES);
  EXPECT_EQ(call.commands_asked, 1);
}

TEST(RuleSetTest, ACommandThatCannotBeToldIsNotTakenForAnother) {
  Rule rule = deny();
  rule.commands = {"/usr/bin/psql"};
  RuleSet set({rule, Rule()});
  FakeFacts call;
  call.its_command.reset();
  EXPECT_TRUE(set.judge(call).unknown);
  call.its_command = "/bin/sh";
  EXPECT_FALSE(set.judge(call).unknown);
}

/// Which of `calls` calls are struck, as letters.
std::string struck(const Rule& rule, int calls) {
  RuleSet set({rule});
  std::string letters;
  FakeFacts call;
  for (int i = 0; i < calls; ++i) letters += set.judge(call).error == ENOMEM ? 'x' : '.';
  return letters;
}

TEST(RuleSetTest, FaultsStrikeByNumber) {
  EXPECT_EQ(struck(fault(FaultChoice::kAll), 4), "xxxx");
  Rule nth = fault(FaultChoice::kNth);
  nth.number = 3;
  EXPECT_EQ(struck(nth, 7), "..x....");
  Rule every = fault(FaultChoice::kEvery);
  every.number = 3;
  EXPECT_EQ(struck(every, 7), "..x..x.");
}

TEST(RuleSetTest, AFractionStrikesTheSameCallsEachTime) {
  Rule rule = fault(FaultChoice::kFraction);
  rule.fraction = 0.25;
  rule.seed = 42;
  const std::string once = struck(rule, 10000);
  EXPECT_EQ(struck(rule, 10000), once);
  const auto count = std::count(once.begin(), once.end(), 'x');
  EXPECT_GT(count, 2300);
  EXPECT_LT(count, 2700);
  rule.seed = 43;
  EXPECT_NE(struck(rule, 10000), once);
  rule.fraction = 0;
  EXPECT_EQ(struck(rule, 100), std::string(100, '.'));
  rule.fraction = 1;
  EXPECT_EQ(struck(rule, 100), std::string(100, 'x'));
}

TEST(RuleSetTest, OnlyCallsThatMatchAreCounted) {
  Rule rule = fault(FaultChoice::kNth);
  rule.number = 2;
  rule.uids = {{7, 7}};
  RuleSet set({rule});
  FakeFacts other;
  FakeFacts seven;
  seven.its_uid = 7;
  EXPECT_EQ(set.judge(seven).error, 0);
  EXPECT_EQ(set.judge(other).error, 0);
  EXPECT_EQ(set.judge(seven).error, ENOMEM);
}

TEST(RuleSetTest, ADelayComesWithOrWithoutAnError) {
  Rule rule = fault(FaultChoice::kEvery);
  rule.number = 2;
  rule.error = 0;
  rule.delay = std::chrono::milliseconds(5);
  RuleSet set({rule});
  FakeFacts call;
  EXPECT_EQ(set.judge(call).delay.count(), 0);
  EXPECT_EQ(set.judge(call).delay, rule.delay);
}

TEST(FitsPatternTest, AStarStandsForAnyLetters) {
  for (const auto& [pattern, text] : {std::pair{"", ""},
                                      {"a", "a"},
                                      {"*", ""},
                                      {"*", "abc"},
                                      {"a*", "a"},
                                      {"a*c", "abbc"},
                                      {"*b*", "abc"},
                                      {"**a", "a"},
                                      {"/usr/*/x", "/usr/a/b/x"},
                                      {"a*b*c", "aXbYbZc"}}) {
    EXPECT_TRUE(fits_pattern(pattern, text)) << pattern << " " << text;
  }
  for (const auto& [pattern, text] : {std::pair{"", "a"},
                                      {"a", ""},
                                      {"a", "ab"},
                                      {"a*c", "abcd"},
                                      {"*b", "abc"},
                                      {"a*b*c", "acb"}}) {
    EXPECT_FALSE(fits_pattern(pattern, text)) << pattern << " " << text;
  }
}

}  // namespace
}  // namespace shmvisor
