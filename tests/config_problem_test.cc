// What is told of a configuration, and how much: of what is wrong, and of rules that stand in each
// other's way.
#include "supervisor/config/config_problem.h"

#include <gtest/gtest.h>

#include <string>

#include "supervisor/config/rule_warnings.h"

namespace shmvisor::config {
namespace {

Configuration read(const std::string& text) {
  Configuration configuration;
  Problems problems;
  const auto document = parse_toml(text, "x.toml");
  if (document) add_document(configuration, *document, {}, problems);
  EXPECT_TRUE(document) << text;
  EXPECT_EQ(lines_of(problems), "") << text;
  return configuration;
}

TEST(ConfigProblemTest, WhatIsVeryLongIsToldWithoutItsMiddle) {
  std::string letters;
  for (int i = 0; i < 100'000; ++i) letters += "\xc3\xa4";
  const std::string line = Problem{{"x.toml", 1, 1}, "'" + letters + "' is bad"}.line();
  EXPECT_LT(line.size(), 600U);
  EXPECT_TRUE(line.starts_with("x.toml:1:1: '\xc3\xa4") && line.ends_with("\xc3\xa4' is bad"));
  EXPECT_NE(line.find("\xc3\xa4...\xc3\xa4"), std::string::npos);
}

TEST(ConfigProblemTest, ThatThereIsMoreIsTold) {
  Problems problems(kMostProblems + 5, Problem{{"x.toml", 7, 1}, "bad"});
  problems = in_order(problems);
  ASSERT_EQ(problems.size(), kMostProblems + 1);
  EXPECT_EQ(problems.back().line(),
            "x.toml: there are more errors; they are told when these are mended");
}

TEST(ConfigProblemTest, BothRulesAreNamed) {
  const Configuration two = read(
      "[[rule]]\nuid = '0-999'\naction = 'allow'\n\n"
      "[[rule]]\nuid = 7\ncall = 'shmat'\naction = 'log'\n");
  EXPECT_EQ(lines_of(warn_of_rules(two)),
            "x.toml:5:1: rule 2 can never match: rule 1 (x.toml:1:1) decides all its calls");
  EXPECT_EQ(lines_of(warn_of_rules(read("[[rule]]\naction = 'allow'\n"))), "");
  EXPECT_EQ(lines_of(warn_of_rules({})), "");
}

TEST(ConfigProblemTest, ThoseBeyondABoundAreCounted) {
  const auto last_of = [](int rules) {
    std::string text;
    for (int i = 0; i < rules; ++i) text += "[[rule]]\naction = 'allow'\n";
    const Problems warnings = warn_of_rules(read(text));
    EXPECT_LE(warnings.size(), kMostProblems + 1);
    return warnings.back().line();
  };
  EXPECT_EQ(last_of(21),
            "x.toml:41:1: rule 21 can never match: rule 1 (x.toml:1:1) decides all its calls");
  EXPECT_EQ(last_of(22), "x.toml:43:1: 1 more rule can never match either, from here on");
  EXPECT_EQ(last_of(31), "x.toml:43:1: 10 more rules can never match either, from here on");
}

}  // namespace
}  // namespace shmvisor::config
