// The configuration file: what it says, and each thing that can be wrong with it, with its place.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>

#include "supervisor/config/configuration.h"
#include "supervisor/config/rule_text.h"

namespace shmvisor::config {
namespace {

using Option = KnownOption::Kind;

KnownOptions known() {
  KnownOptions options;
  options.limits = {
      {"shmmax", Option::kNumber}, {"shmall", Option::kNumber}, {"shmmni", Option::kNumber}};
  options.run = {{"populate", Option::kFlag},     {"log-level", Option::kText},
                 {"without", Option::kList},      {"tracer-wait", Option::kNumber},
                 {"report", Option::kTextOrFlag}, {"audit", Option::kText},
                 {"audit-size", Option::kNumber}};
  options.agent = {{"socket", Option::kText}, {"name", Option::kText}};
  return options;
}

struct Read {
  Configuration configuration;
  std::string problems;
};

Read read(const std::string& text) {
  Read result;
  Problems problems;
  const auto document = parse_toml(text, "x.toml");
  if (!document) {
    problems.push_back(document.error());
  } else {
    add_document(result.configuration, *document, known(), problems);
  }
  result.problems = lines_of(problems);
  return result;
}

const OptionSetting* find(const OptionSettings& settings, const std::string& name) {
  for (const OptionSetting& one : settings) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

TEST(ConfigTest, AnEmptyFileSaysNothing) {
  const Read empty = read("");
  EXPECT_EQ(empty.problems, "");
  EXPECT_TRUE(empty.configuration.limits.empty() && empty.configuration.rules.empty());
  EXPECT_FALSE(empty.configuration.user_limits.sets_any());
}

TEST(ConfigTest, OptionsAreAsOnTheCommandLine) {
  const Read all = read(
      "[limits]\nshmmax = \"1G\"\nshmmni = 7\n[run]\npopulate = true\ntracer-wait = 0.5\n"
      "without = [\"a\", \"b\"]\nreport = true\n[agent]\nname = 'node'\n");
  EXPECT_EQ(all.problems, "");
  const auto values = [&](const OptionSettings& settings, const char* name) {
    const auto* const setting = find(settings, name);
    return setting == nullptr ? std::vector<std::string>{"missing"} : setting->values;
  };
  using Texts = std::vector<std::string>;
  const Configuration& got = all.configuration;
  EXPECT_EQ(values(got.limits, "shmmax"), Texts{"1G"});
  EXPECT_EQ(values(got.limits, "shmmni"), Texts{"7"});
  EXPECT_EQ(values(got.run, "populate"), Texts{"true"});
  EXPECT_EQ(values(got.run, "tracer-wait"), Texts{"0.5"});
  EXPECT_EQ(values(got.run, "without"), (Texts{"a", "b"}));
  EXPECT_EQ(values(got.run, "report"), Texts{"true"});
  EXPECT_EQ(values(got.agent, "name"), Texts{"node"});
  EXPECT_EQ(find(got.limits, "shmmni")->place.text(), "x.toml:3:1");
  EXPECT_EQ(got.options_of("agent").size(), 3U);
  EXPECT_EQ(got.options_of("run").size(), 6U);
}

TEST(ConfigTest, LimitsOfUsers) {
  const Read all = read(
      "[limits.uid.default]\nshmmni = 5\nshmall = '1K'\n[limits.uid.1000]\nshmmax = '4K'\n"
      "shmmni = 6\n");
  EXPECT_EQ(all.problems, "");
  const UserLimits& limits = all.configuration.user_limits;
  EXPECT_EQ(limits.of(1), (LimitSettings{std::nullopt, 1024, 5}));
  EXPECT_EQ(limits.of(1000), (LimitSettings{4096, 1024, 6}));
}

TEST(ConfigTest, ALaterFileSetsAnewAndAddsRules) {
  Configuration configuration;
  Problems problems;
  for (const char* const text :
       {"[limits]\nshmmni = 1\n[limits.uid.7]\nshmmni = 1\n[[rule]]\naction = 'allow'\n",
        "[limits]\nshmmni = 2\n[limits.uid.7]\nshmmni = 2\n[[rule]]\naction = 'log'\n"}) {
    const auto document = parse_toml(text, text[17] == '1' ? "a" : "b");
    ASSERT_TRUE(document);
    add_document(configuration, *document, known(), problems);
  }
  EXPECT_EQ(lines_of(problems), "");
  ASSERT_EQ(configuration.limits.size(), 1U);
  EXPECT_EQ(configuration.limits[0].values[0], "2");
  EXPECT_EQ(configuration.limits[0].place.text(), "b:2:1");
  EXPECT_EQ(configuration.user_limits.of(7).shmmni, 2U);
  EXPECT_EQ(configuration.user_settings.size(), 1U);
  ASSERT_EQ(configuration.rules.size(), 2U);
  EXPECT_EQ(configuration.rules[1].action, RuleAction::kLog);
  EXPECT_EQ(configuration.rules[1].place, 2U);
  EXPECT_EQ(configuration.rule_places[1].file, "b");
}

/// To take over what is parsed is little beside parsing it, however many users there are.
TEST(ConfigTest, VeryManyUsersAreTakenOverAsFastAsTheyAreParsed) {
  using Clock = std::chrono::steady_clock;
  constexpr int kUsers = 20000;
  Configuration configuration;
  Problems problems;
  Clock::duration parsing{0};
  Clock::duration adding{0};
  for (int file = 0; file < 3; ++file) {
    std::string text;
    for (int user = 0; user < kUsers; ++user) {
      text += "[limits.uid." + std::to_string(file * kUsers + user) +
              "]\nshmmax=1\nshmall=1\nshmmni=1\n";
    }
    const auto began = Clock::now();
    const auto document = parse_toml(text, "x.toml");
    const auto parsed = Clock::now();
    ASSERT_TRUE(document) << document.error().text;
    add_document(configuration, *document, known(), problems);
    parsing += parsed - began;
    adding += Clock::now() - parsed;
  }
  EXPECT_EQ(lines_of(problems), "");
  EXPECT_EQ(configuration.user_settings.size(), std::size_t{3} * 3 * kUsers);
  EXPECT_LT(adding.count(), 4 * parsing.count());
}

TEST(ConfigTest, RulesSayWhatTheyMatchAndDo) {
  const Read all = read(
      "[[rule]]\ncall = ['shmget', 'IPC_RMID']\nuid = [1000, '2000-2999']\ngid = '5-'\n"
      "key = [0x4d2, '0x10-0x1f', 'private']\nsize = ['64M-', '-4K', 7]\ncommand = '*/psql'\n"
      "container = ['group:a*', 'c1']\naction = 'fault'\nerrno = 'ENOMEM'\nevery = 3\n"
      "delay = '1.5s'\n"
      "[[rule]]\ncall = 'shmctl'\naction = 'fault'\nfraction = 0.25\nseed = -9\nerrno = 'EINTR'\n");
  EXPECT_EQ(all.problems, "");
  ASSERT_EQ(all.configuration.rules.size(), 2U);
  const Rule& rule = all.configuration.rules[0];
  EXPECT_TRUE(rule.calls.has(RuledCall::kShmget) && rule.calls.has(RuledCall::kIpcRmid));
  EXPECT_FALSE(rule.calls.has(RuledCall::kShmat) || rule.calls.has(RuledCall::kIpcSet));
  EXPECT_EQ(rule.uids, (NumberRanges{{1000, 1000}, {2000, 2999}}));
  EXPECT_EQ(rule.gids, (NumberRanges{{5, UINT32_MAX}}));
  EXPECT_EQ(rule.keys, (NumberRanges{{0x4d2, 0x4d2}, {0x10, 0x1f}, {0, 0}}));
  EXPECT_EQ(rule.sizes, (NumberRanges{{64 << 20, UINT64_MAX}, {0, 4096}, {7, 7}}));
  EXPECT_EQ(rule.commands, std::vector<std::string>{"*/psql"});
  EXPECT_EQ(rule.containers, (std::vector<std::string>{"group:a*", "c1"}));
  EXPECT_EQ(rule.error, ENOMEM);
  EXPECT_EQ(rule.choice, FaultChoice::kEvery);
  EXPECT_EQ(rule.number, 3U);
  EXPECT_EQ(rule.delay, std::chrono::milliseconds(1500));
  EXPECT_EQ(rule.line, 1U);
  const Rule& other = all.configuration.rules[1];
  for (const auto& [name, call] : kRuledCallNames) {
    EXPECT_EQ(other.calls.has(call), call >= RuledCall::kIpcRmid) << name;
  }
  EXPECT_TRUE(other.calls.has(RuledCall::kOtherCommand));
  EXPECT_EQ(other.choice, FaultChoice::kFraction);
  EXPECT_EQ(other.fraction, 0.25);
  EXPECT_EQ(other.seed, static_cast<std::uint64_t>(-9));
  EXPECT_EQ(other.place, 2U);
}

struct Bad {
  const char* text;
  const char* problem;
};

constexpr const char* kNoSuchCall = "[[rule]]\ncall = [\"shmgte\"]\naction = \"allow\"\n";

TEST(ConfigTest, EachProblemIsToldWithItsPlace) {
  const Bad each[] = {
      Bad{"[limits]\nshmmax = \n",
          "2:10: Error while parsing key-value pair: expected value, saw '\\n'"},
      Bad{"a = 1\na = 2\n",
          "2:5: Error while parsing key-value pair: cannot redefine existing "
          "integer 'a'"},
      Bad{"[limits", "1:8: Error while parsing table header: encountered end-of-file"},
      Bad{"x = \xff\n", "1:4: Encountered invalid utf-8 sequence"},
      Bad{"[run]\naudit = './a'\nlog-level = \"in\\u0000fo\"\n", "3:13: a text may have no NUL"},
      Bad{"[run]\nwithout = ['a', \"b\\u0000\"]\n", "2:17: a text may have no NUL"},
      Bad{"[limits.uid.\"a\\u0000b\"]\n", "1:13: a key may have no NUL"},
      Bad{"x = 1979-05-27\n", "1:1: there is no key 'x' (in the file)"},
      Bad{"limit = 1\n", "1:1: there is no key 'limit'; did you mean 'limits'? (in the file)"},
      Bad{"shmmax = 1\n", "1:1: shmmax belongs in [limits]"},
      Bad{"socket = 'x'\n", "1:1: socket belongs in [agent]"},
      Bad{"limits = 1\n", "1:10: limits is to be a table: [limits], and here is a number"},
      Bad{"[limits]\nshmax = 1\n",
          "2:1: there is no key 'shmax'; did you mean 'shmmax'? (in [limits])"},
      Bad{"[limits]\nshmall = true\n",
          "2:10: shmall is to be a number, or text as \"64M\", and here is true or false"},
      Bad{"[limits]\nshmall = 1979-05-27\n",
          "2:10: shmall is to be a number, or text as \"64M\", and here is a date or time"},
      Bad{"[limits.uid.1-2]\nshmmni = 1\n",
          "1:13: a key of [limits.uid] is to be a uid, the name of a user, or default"},
      Bad{"[limits.uid]\n4294967295 = {}\n",
          "2:1: a key of [limits.uid] is to be a uid, the name of a user, or default"},
      Bad{"[limits.uid]\n7 = 1\n", "2:5: limits of a uid are to be a table: [limits.uid.7]"},
      Bad{"[limits.uid.7]\nshmmni = 40000\n", "2:1: '40000' is no number up to 32768"},
      Bad{"[limits.uid.7]\nshmmax = '1X'\n",
          "2:1: '1X' is no whole number from 0 to 18446744073709551615, alone or with K, M, G or "
          "T"},
      Bad{"[limits.uid.7]\nshmmin = 1\n",
          "2:1: there is no key 'shmmin'; did you mean 'shmmni'? (in [limits.uid.7])"},
      Bad{"[run]\npopulate = 'yes'\n", "2:12: populate is to be true or false, and here is text"},
      Bad{"[run]\nlog-level = 3\n", "2:13: log-level is to be text, and here is a number"},
      Bad{"[run]\nreport = 3\n", "2:10: report is to be text, or true, and here is a number"},
      Bad{"[run]\nwithout = [1]\n",
          "2:11: without is to be text, or a list of it, and here is a list"},
      Bad{"[run]\nwithout = []\n",
          "2:11: without is to be text, or a list of it, and here is a list"},
      Bad{"[run]\nsocket = 'x'\n", "2:1: there is no key 'socket' (in [run])"},
      Bad{"[agent]\nname = ['a']\n", "2:8: name is to be text, and here is a list"},
      Bad{"rule = 1\n", "1:8: rule is to be a list of tables: [[rule]], and here is a number"},
      Bad{"rule = [1]\n", "1:9: a rule is to be a table: [[rule]]"},
      Bad{"[[rule]]\n", "1:1: a rule is to have an action: allow, deny, log or fault"},
      Bad{"[[rule]]\naction = 1\n", "2:10: action is to be text, and here is a number"},
      Bad{"[[rule]]\naction = 'denny'\n", "2:10: there is no action 'denny'; did you mean 'deny'?"},
      Bad{kNoSuchCall, "2:9: there is no call 'shmgte'; did you mean 'shmget'?"},
      Bad{"[[rule]]\ncall = 1\naction = 'allow'\n",
          "2:8: call is to be text, as \"shmget\", or a list of it"},
      Bad{"[[rule]]\ncall = []\naction = 'allow'\n", "2:8: call is an empty list"},
      Bad{"[[rule]]\nuid = -1\naction = 'allow'\n",
          "2:7: a uid or gid is to be a number, a name, or text with a range as \"1000-1999\""},
      Bad{"[[rule]]\ngid = 4294967296\naction = 'allow'\n",
          "2:7: a uid or gid is to be a number, a name, or text with a range as \"1000-1999\""},
      Bad{"[[rule]]\nuid = '9-3'\naction = 'allow'\n", "2:7: the range begins behind its end"},
      Bad{"[[rule]]\nuid = '-'\naction = 'allow'\n",
          "2:7: a uid or gid is to be a number, a name, or text with a range as \"1000-1999\""},
      Bad{"[[rule]]\nkey = ['0xg']\naction = 'allow'\n",
          "2:8: a key is to be a number as 0x4d2, text with a range as \"0x1000-0x1fff\", or "
          "\"private\""},
      Bad{"[[rule]]\nsize = '1X'\naction = 'allow'\n",
          "2:8: a size is to be a number of bytes, or text as \"64M\" or \"1M-4M\"; \"64M-\" is "
          "that or more"},
      Bad{"[[rule]]\ncommand = 'psql'\naction = 'allow'\n",
          "2:11: command is to be a path from / on, as \"/usr/bin/psql\" or \"*/psql\""},
      Bad{"[[rule]]\ncontainer = ''\naction = 'allow'\n",
          "2:13: container is to be text, in which * stands for any letters, or a list of it"},
      Bad{"[[rule]]\naction = 'deny'\n",
          "1:1: a rule that denies is to say the errno, as errno = \"EACCES\""},
      Bad{"[[rule]]\naction = 'deny'\nerrno = 'EACES'\n",
          "3:9: there is no errno 'EACES'; did you mean 'EACCES'?"},
      Bad{"[[rule]]\naction = 'deny'\nerrno = 13\n",
          "3:9: errno is to be the name of an errno, as \"EACCES\", and here is a number"},
      Bad{"[[rule]]\naction = 'allow'\nerrno = 'EIO'\n",
          "3:1: errno goes with deny and fault alone"},
      Bad{"[[rule]]\naction = 'log'\nnth = 1\n", "3:1: nth goes with fault alone"},
      Bad{"[[rule]]\naction = 'fault'\n", "1:1: a fault is to have an errno, a delay, or both"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nnth = 0\n",
          "4:7: nth is to be a number from 1 on"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nnth = 1\nevery = 2\n",
          "5:1: only one of nth, every and fraction can choose the calls"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nfraction = 1.5\n",
          "4:12: fraction is to be a number above 0, up to 1"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nfraction = 0\n",
          "4:12: fraction is to be a number above 0, up to 1"},
      Bad{"[[rule]]\ncall = ['IPC_INFO', 'SHM_INFO']\nkey = 7\naction = 'allow'\n",
          "3:1: the rule can never match: IPC_INFO and SHM_INFO name no segment, so they have no "
          "key"},
      Bad{"[[rule]]\nsize = '1K-'\ncall = 'IPC_INFO'\naction = 'allow'\n",
          "2:1: the rule can never match: IPC_INFO and SHM_INFO name no segment, so they have no "
          "size"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nfraction = nan\n",
          "4:12: fraction is to be a number above 0, up to 1"},
      Bad{"[[rule]]\naction = 'fault'\nerrno = 'EIO'\nseed = 1\n",
          "4:1: seed goes with fraction alone"},
      Bad{"[[rule]]\naction = 'fault'\ndelay = 3\n",
          "3:9: a delay is to be text with a unit, as \"250ms\" or \"1.5s\", up to \"60s\""},
      Bad{"[[rule]]\naction = 'fault'\ndelay = '61s'\n",
          "3:9: a delay is to be text with a unit, as \"250ms\" or \"1.5s\", up to \"60s\""},
      Bad{"[[rule]]\naction = 'deny'\nerrno = 'EIO'\ndelay = '1s'\n",
          "4:1: delay goes with fault alone"},
      Bad{"[[rule]]\naction = 'allow'\nkeys = 1\n",
          "3:1: there is no key 'keys'; did you mean 'key'? (in [[rule]])"}};
  for (const Bad& bad : each) {
    EXPECT_EQ(read(bad.text).problems, std::string("x.toml:") + bad.problem) << bad.text;
  }
}

TEST(ConfigTest, ProblemsAreToldTogetherUpToABound) {
  EXPECT_EQ(read("[limits]\na = 1\nb = 2\n").problems,
            "x.toml:2:1: there is no key 'a' (in [limits])\n"
            "x.toml:3:1: there is no key 'b' (in [limits])");
  std::string many = "[limits]\n";
  for (int i = 0; i < 100; ++i) many += "q" + std::to_string(i) + " = 1\n";
  const std::string told = read(many).problems;
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n') + 1, static_cast<long>(kMostProblems) + 1);
}

TEST(ConfigTest, TextThatWouldNestTooDeepIsRefused) {
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_EQ(read("\n" + deep + " = 1\n").problems, "x.toml:2:1: a line of too many dots");
  std::string nested;
  for (int i = 0; i < 32; ++i) nested += ".b";
  std::string wide;
  for (int line = 0; line < 2100; ++line) wide += "a" + std::to_string(line) + nested + " = 1\n";
  EXPECT_EQ(read(wide).problems, "x.toml:2049:1: too many dots up to here");
  // What a file has may reach a terminal.
  EXPECT_EQ(read("[limits]\nshmmax = \"\\u001b[31m\\nx\"\n").problems.find_first_of("\x1b\n"),
            std::string::npos);
  EXPECT_EQ(read("# " + deep + "\n").problems, "");
  const std::string arrays(1000, '[');
  EXPECT_NE(read("a = " + arrays).problems, "");
  EXPECT_EQ(read(std::string(kMostTomlBytes + 1, '\n')).problems,
            "x.toml: it has more than 1048576 bytes");
}

TEST(ConfigTest, ARuleReadsAsItIsShown) {
  std::ifstream file(SHMVISOR_EXAMPLE_CONFIG);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Read example = read(text);
  EXPECT_EQ(example.problems, "");
  ASSERT_EQ(example.configuration.rules.size(), 6U);
  std::string shown;
  for (const Rule& rule : example.configuration.rules) shown += "[[rule]]\n" + rule_text(rule);
  const Read again = read(shown);
  EXPECT_EQ(again.problems, "") << shown;
  ASSERT_EQ(again.configuration.rules.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    Rule rule = again.configuration.rules[i];
    rule.line = example.configuration.rules[i].line;
    EXPECT_EQ(rule, example.configuration.rules[i]) << rule_text(rule);
  }
}

}  // namespace
}  // namespace shmvisor::config
