// The files of a configuration: which they are, and what is wrong with them.
#include "supervisor/config/config_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "supervisor/config/configuration.h"
#include "tests/scratch_folder.h"

namespace shmvisor::config {
namespace {

KnownOptions known() {
  using Option = KnownOption::Kind;
  KnownOptions options;
  options.limits = {
      {"shmmax", Option::kNumber}, {"shmall", Option::kNumber}, {"shmmni", Option::kNumber}};
  return options;
}

const OptionSetting* find(const OptionSettings& settings, const std::string& name) {
  for (const OptionSetting& one : settings) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

class ConfigFilesTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  [[nodiscard]] std::string problems_of(const std::string& name) const {
    const auto read = read_configuration(path(name), known());
    return read ? "" : lines_of(read.error());
  }

  const ScratchFolder folder_;
};

TEST_F(ConfigFilesTest, OneTextHasAllOfThem) {
  write("main", "[limits]\nshmmni = 1\n");
  ::mkdir(path("main.d").c_str(), 0700);
  write("main.d/10.toml", "");
  write("main.d/20.toml", "[limits]\nshmmni = 3\n");
  const auto one_text = as_one_text(read_files(path("main")));
  ASSERT_TRUE(one_text);
  const auto files = from_one_text(*one_text);
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path, path("main"));
  EXPECT_EQ(*files[1].text, "");
  Problems problems;
  const auto read = read_as_far_as_it_goes(files, known(), problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(find(read.limits, "shmmni")->values[0], "3");
  write("main.d/20.toml", std::string("a\0b", 3));
  EXPECT_FALSE(as_one_text(read_files(path("main"))));
  EXPECT_FALSE(as_one_text(read_files(path("none"))));
  EXPECT_TRUE(from_one_text("").empty());
}

TEST_F(ConfigFilesTest, DropInsFollowInTheOrderOfTheirNames) {
  write("main", "[limits]\nshmmni = 1\nshmmax = 1\nshmall = 1\n");
  ::mkdir(path("main.d").c_str(), 0700);
  write("main.d/20.toml", "[limits]\nshmmni = 3\n[[rule]]\naction = 'log'\n");
  write("main.d/10.toml", "[limits]\nshmmni = 2\nshmmax = 2\n[[rule]]\naction = 'allow'\n");
  write("main.d/30.toml~", "not read\n");
  write("main.d/.hidden.toml", "not read\n");
  const auto read = read_configuration(path("main"), known());
  ASSERT_TRUE(read) << lines_of(read.error());
  EXPECT_EQ(find(read->limits, "shmmni")->values[0], "3");
  EXPECT_EQ(find(read->limits, "shmmax")->values[0], "2");
  EXPECT_EQ(find(read->limits, "shmall")->values[0], "1");
  ASSERT_EQ(read->rules.size(), 2U);
  EXPECT_EQ(read->rules[0].action, RuleAction::kAllow);
  write("main.d/20.toml", "[limit]\n");
  EXPECT_EQ(problems_of("main"), path("main.d/20.toml") +
                                     ":1:2: there is no key 'limit'; did you mean 'limits'? (in "
                                     "the file)");
}

TEST_F(ConfigFilesTest, AFileThatIsNoneIsRefused) {
  EXPECT_EQ(problems_of("none"), path("none") + ": it cannot be opened: No such file or directory");
  ::mkfifo(path("fifo").c_str(), 0600);
  EXPECT_EQ(problems_of("fifo"), path("fifo") + ": it is not a regular file");
  EXPECT_EQ(problems_of(""), path("") + ": it is not a regular file");
  write("large", std::string(3 << 20, '#'));
  EXPECT_EQ(problems_of("large"), path("large") + ": it has more than 1048576 bytes");
  write("file", "");
  write("file.d", "");
  EXPECT_EQ(problems_of("file"), path("file.d") + ": it cannot be read: Not a directory");
}

}  // namespace
}  // namespace shmvisor::config
