// Helps and completions out of the definitions of options.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "supervisor/cli/completion.h"
#include "supervisor/cli/help_formatter.h"
#include "supervisor/cli/option_list.h"

namespace shmvisor {
namespace {

class HelpTest : public ::testing::Test {
 protected:
  HelpTest() {
    used_.formatter(std::make_shared<HelpFormatter>(HelpText{.examples = "shmvisor do x"}));
    used_.add_flag("-q,--quiet", flag_, "Say nothing")->group(kCommonGroup);
    used_.add_option("--mode", mode_, "How it is done")->check(CLI::IsMember({"one", "two"}));
    used_.add_option("--trace", file_, "Say all")->expected(0, 1)->type_name("FILE");
    used_.add_option("--hidden", file_)->group("");
    CLI::Option_group* const group = used_.add_option_group("which");
    group->add_option("ID", numbers_, "Those");
    group->add_flag("--all", flag_, "All")->group("Which");
  }
  const CLI::Option& option(const std::string& name) { return *used_.get_option(name); }

  CLI::App program_{"A program", "shmvisor"};
  CLI::App& used_ = *program_.add_subcommand("do", "Does it");
  std::string mode_;
  std::string file_;
  bool flag_ = false;
  std::vector<int> numbers_;
};

TEST_F(HelpTest, OptionsAreThoseOfGroupsTooAndNoneThatIsHidden) {
  std::string names;
  for (const CLI::Option* const one : visible_options(used_)) names += main_name(*one) + " ";
  EXPECT_EQ(names, "--help --quiet --mode --trace ID --all ");
}

TEST_F(HelpTest, SpellsOptionsAsTheyAreGiven) {
  EXPECT_EQ(spelling(option("--quiet")), "-q, --quiet");
  EXPECT_EQ(spelling(option("--trace")), "--trace[=FILE]");
  EXPECT_EQ(spelling(option("--mode")), "--mode TEXT");
  EXPECT_EQ(known_values(option("--mode")), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(known_values(option("--trace")).empty());
  EXPECT_EQ(completed_value(used_, option("--trace")).kind, Completed::Kind::kFile);
  EXPECT_EQ(completed_value(used_, option("--mode")).words, "one two");
}

TEST_F(HelpTest, AHelpHasTheUsageGroupsAndExamples) {
  const std::string help = used_.help("shmvisor");
  EXPECT_EQ(help.find("Usage: shmvisor do [OPTION]... [ID...]\n\nDoes it\n"), 0U) << help;
  const auto common = help.find("\nCommon options:\n  -q, --quiet ");
  EXPECT_NE(common, std::string::npos) << help;
  EXPECT_LT(help.find("  --mode TEXT "), common) << help;
  EXPECT_NE(help.find("\nExamples:\n  shmvisor do x\n"), std::string::npos) << help;
}

TEST(WrappedTest, BreaksLinesBetweenWords) {
  EXPECT_EQ(wrapped("", 2, 10), "");
  EXPECT_EQ(wrapped("one two", 2, 10), "one two");
  EXPECT_EQ(wrapped("one two three", 2, 10), "one two\n  three");
  EXPECT_EQ(wrapped("alongwordthatfitsnot x", 2, 10), "alongwordthatfitsnot\n  x");
}

}  // namespace
}  // namespace shmvisor
