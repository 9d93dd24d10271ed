// Users and groups by name, in options and in the configuration file.
#include "supervisor/config/accounts.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "supervisor/config/configuration.h"
#include "supervisor/config/rule_text.h"
#include "tests/scratch_folder.h"

namespace shmvisor::config {
namespace {

class AccountsTest : public ::testing::Test {
 protected:
  AccountsTest() {
    std::ofstream(folder_.path("passwd")) << "root:x:0:0:root:/root:/bin/sh\n"
                                             "www-data:x:33:33::/:/bin/sh\n"
                                             "# postgres:x:1:1::/:/bin/sh\n"
                                             "postgres:x:105:110::/:/bin/sh\n"
                                             "postgres:x:106:110::/:/bin/sh\n"
                                             "44:x:45:45::/:/bin/sh\n"
                                             "+nis::::::\n"
                                             "broken:x:12\n"
                                             "alice:x:1000:1000::/:/bin/sh\n";
    std::ofstream(folder_.path("group")) << "adm:x:4:syslog\nwww-data:x:34:\n";
    accounts_ = Accounts(folder_.path("passwd"), folder_.path("group"));
  }

  struct Read {
    Configuration configuration;
    std::string problems;
  };
  void add(const std::string& text, Read& read, const std::string& file = "x.toml") const {
    using Option = KnownOption::Kind;
    KnownOptions known;
    known.limits = {{"shmmax", Option::kNumber}, {"shmmni", Option::kNumber}};
    known.accounts = accounts_;
    Problems problems;
    const auto document = parse_toml(text, file);
    ASSERT_TRUE(document) << document.error().text;
    add_document(read.configuration, *document, known, problems);
    read.problems = lines_of(problems);
  }
  [[nodiscard]] Read read(const std::string& text) const {
    Read result;
    add(text, result);
    return result;
  }
  [[nodiscard]] std::string parsed(const std::string& text) const {
    const auto id = accounts_.parse(AccountKind::kUser, text);
    return id ? std::to_string(*id) : id.error().reason;
  }

  const ScratchFolder folder_;
  Accounts accounts_;
};

TEST_F(AccountsTest, AnOptionTakesANameOrANumberAsChownDoes) {
  EXPECT_EQ(parsed("www-data"), "33");
  EXPECT_EQ(parsed("postgres"), "105") << "the first line counts";
  EXPECT_EQ(parsed("44"), "45") << "a name is preferred";
  EXPECT_EQ(parsed("+44"), "44");
  EXPECT_EQ(parsed("7"), "7");
  EXPECT_EQ(parsed("postgers"),
            "'postgers' is no user, and no number from 0 to 4294967294; did you mean 'postgres'?");
  EXPECT_EQ(parsed("4294967295"), "'4294967295' is no user, and no number from 0 to 4294967294");
  const auto group = accounts_.parse(AccountKind::kGroup, "www-data");
  EXPECT_TRUE(group && *group == 34U);
}

TEST_F(AccountsTest, RulesNameUsersAndGroups) {
  const Read all = read(
      "[[rule]]\nuid = ['www-data', 1000, '44', '5-7', 'alice']\ngid = 'adm'\naction = 'allow'\n");
  EXPECT_EQ(all.problems, "");
  ASSERT_EQ(all.configuration.rules.size(), 1U);
  const Rule& rule = all.configuration.rules[0];
  EXPECT_EQ(rule.uids, (NumberRanges{{33, 33}, {1000, 1000}, {44, 44}, {5, 7}, {1000, 1000}}))
      << "digits are a number, whatever users are called";
  EXPECT_EQ(rule.gids, (NumberRanges{{4, 4}}));
  const std::string shown = rule_text(rule, all.configuration.rule_names[0]);
  EXPECT_EQ(shown,
            "uid = [\"www-data\", \"1000\", \"44\", \"5-7\", \"alice\"]"
            " # www-data is 33, alice is 1000\n"
            "gid = [\"adm\"] # adm is 4\naction = \"allow\"\n");
  const Read again = read("[[rule]]\n" + shown);
  EXPECT_EQ(again.problems, "");
  EXPECT_EQ(again.configuration.rules.at(0), rule);
}

TEST_F(AccountsTest, LimitsNameUsers) {
  Read all = read("[limits.uid.www-data]\nshmmni = 5\n[limits.uid.1000]\nshmmni = 6\n");
  add("[limits.uid.alice]\nshmmax = 4096\nshmmni = 7\n", all, "y.toml");
  EXPECT_EQ(all.problems, "");
  const UserLimits& limits = all.configuration.user_limits;
  EXPECT_EQ(limits.of(33).shmmni, 5U);
  EXPECT_EQ(limits.of(1000), (LimitSettings{4096, std::nullopt, 7})) << "a later file sets anew";
  EXPECT_EQ(all.configuration.user_settings.at({33, "shmmni"}).user, "www-data");
}

TEST_F(AccountsTest, WhoIsUnknownIsAProblemWithItsPlace) {
  const std::string passwd = folder_.path("passwd");
  EXPECT_EQ(read("[[rule]]\nuid = [0, 'postgers']\naction = 'allow'\n").problems,
            "x.toml:2:11: there is no user 'postgers' in " + passwd + "; did you mean 'postgres'?");
  EXPECT_EQ(read("[[rule]]\ngid = 'alice'\naction = 'allow'\n").problems,
            "x.toml:2:7: there is no group 'alice' in " + folder_.path("group"));
  EXPECT_EQ(
      read("[[rule]]\nuid = '10-20x'\naction = 'allow'\n").problems,
      "x.toml:2:7: '10-20x' is no number, no range as \"1000-1999\", and no user in " + passwd);
  EXPECT_EQ(read("[limits.uid.Default]\nshmmni = 1\n").problems,
            "x.toml:1:13: there is no user 'Default'; did you mean 'default'?");
  EXPECT_EQ(read("[limits.uid.bob]\nshmmni = 1\n").problems,
            "x.toml:1:13: there is no user 'bob' in " + passwd);
  EXPECT_EQ(read("[limits.uid.alice]\nshmmni = 1\n[limits.uid.1000]\nshmmax = 1\n").problems,
            "x.toml:3:13: 1000 and alice (x.toml:1:13) are the same user");
}

TEST_F(AccountsTest, ManyUnknownNamesAreNotComparedWithAll) {
  std::ofstream passwd(folder_.path("passwd"));
  for (int number = 0; number < 1000; ++number) passwd << "user" << number << ":x:7:7::/:\n";
  passwd.close();
  accounts_ = Accounts(folder_.path("passwd"), folder_.path("group"));
  int compared = 0;
  for (int number = 0; number < 1000; ++number) {
    const auto id = accounts_.id_of(AccountKind::kUser, "usr" + std::to_string(number));
    ASSERT_FALSE(id);
    if (id.error().reason.find("did you mean") != std::string::npos) ++compared;
  }
  EXPECT_GE(compared, 20) << "as many as are shown";
  EXPECT_LE(compared, 200);
}

TEST_F(AccountsTest, WithoutThatFileNumbersStillDo) {
  accounts_ = Accounts(folder_.path("none"), folder_.path("none"));
  EXPECT_EQ(read("[[rule]]\nuid = 'root'\naction = 'allow'\n").problems,
            "x.toml:2:7: there is no user 'root', since " + folder_.path("none") +
                " cannot be read: No such file or directory");
  EXPECT_EQ(read("[[rule]]\nuid = '0'\naction = 'allow'\n").problems, "");
  EXPECT_EQ(parsed("7"), "7");
}

}  // namespace
}  // namespace shmvisor::config
