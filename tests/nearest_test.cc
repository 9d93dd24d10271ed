// Which word a misspelt one was meant to be.
#include "supervisor/config/nearest.h"

#include <gtest/gtest.h>

namespace shmvisor {
namespace {

const std::vector<std::string> kWords = {"run",      "agent",    "ls",         "limits",
                                         "--shmmax", "--shmmni", "--subreaper"};

TEST(NearestTest, FindsWhatIsMeant) {
  EXPECT_EQ(nearest_word("rum", kWords), "run");
  EXPECT_EQ(nearest_word("sl", kWords), "ls");
  EXPECT_EQ(nearest_word("limit", kWords), "limits");
  EXPECT_EQ(nearest_word("--shmax", kWords), "--shmmax");
  EXPECT_EQ(nearest_word("--shmnmi", kWords), "--shmmni");
  EXPECT_EQ(nearest_word("--sub", kWords), "--subreaper");
}

TEST(NearestTest, MakesNothingUp) {
  EXPECT_EQ(nearest_word("postgres", kWords), "");
  EXPECT_EQ(nearest_word("", kWords), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'x'), kWords), "");
}

}  // namespace
}  // namespace shmvisor
