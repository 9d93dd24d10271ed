// What CLI11 says of values, in our words.
#include "supervisor/cli/plain_words.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>

namespace shmvisor {
namespace {

class PlainWordsTest : public ::testing::Test {
 protected:
  PlainWordsTest() {
    app_.add_option("--proc", word_)->check(CLI::IsMember({"fuse", "hide", "off"}));
    app_.add_option("--pid", number_)->check(CLI::Range(1, 2147483647));
    app_.add_option("--wait", seconds_)->check(CLI::Range(0.0, 3600.5))->type_name("SECONDS");
    app_.add_option("ID", number_)->check(CLI::Range(0, 9));
  }
  /// What is said of that command line by CLI11, and so by us.
  std::string said_of(const std::string& words) {
    try {
      app_.parse(words);
    } catch (const CLI::ParseError& error) {
      return in_plain_words(error.what());
    }
    return "nothing";
  }

  CLI::App app_;
  std::string word_;
  int number_ = 0;
  double seconds_ = 0;
};

TEST_F(PlainWordsTest, AWordOfAListIsComparedWithAll) {
  EXPECT_EQ(said_of("--proc fusee"),
            "--proc: 'fusee' is none of fuse, hide and off; did you mean 'fuse'?");
  EXPECT_EQ(said_of("--proc everything"), "--proc: 'everything' is none of fuse, hide and off");
  EXPECT_EQ(said_of("--proc=a:b"), "--proc: 'a:b' is none of fuse, hide and off");
  EXPECT_EQ(said_of("--proc hide"), "nothing");
}

TEST_F(PlainWordsTest, ANumberHasItsRange) {
  EXPECT_EQ(said_of("--pid 0"), "--pid: '0' is no number from 1 to 2147483647");
  EXPECT_EQ(said_of("--pid x"), "--pid: 'x' is no number from 1 to 2147483647");
  EXPECT_EQ(said_of("--wait 4000"), "--wait: '4000' is no number from 0 to 3600.5");
  EXPECT_EQ(said_of("10"), "ID: '10' is no number from 0 to 9");
}

TEST_F(PlainWordsTest, AMissingValueIsNamed) {
  EXPECT_EQ(said_of("--wait"), "--wait: its SECONDS is missing");
}

TEST_F(PlainWordsTest, OtherClausesStay) {
  EXPECT_EQ(in_plain_words("--shmmni: at most 32768"), "--shmmni: at most 32768");
  EXPECT_EQ(in_plain_words("the file is missing"), "the file is missing");
  EXPECT_EQ(in_plain_words(""), "");
}

}  // namespace
}  // namespace shmvisor
