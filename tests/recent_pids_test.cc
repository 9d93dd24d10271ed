#include "supervisor/scope/recent_pids.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/procfs/last_pid.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using Pids = std::optional<std::vector<pid_t>>;

class RecentPidsTest : public ::testing::Test {
 protected:
  void note(int ms, std::optional<pid_t> last) { recent_.note(at(ms), last); }
  [[nodiscard]] Pids since(int listed_ms, std::size_t most = 100) const {
    return recent_.since(at(listed_ms), most);
  }

 private:
  static RecentPids::Clock::time_point at(int ms) {
    return RecentPids::Clock::time_point(milliseconds(100'000 + ms));
  }
  RecentPids recent_;
};

TEST_F(RecentPidsTest, NothingIsToldOfTheFirstSecond) {
  EXPECT_EQ(since(0), std::nullopt);
  note(0, 500);
  EXPECT_EQ(since(0), std::nullopt);
  note(990, 500);
  EXPECT_EQ(since(990), std::nullopt) << "who began to be born before is not known";
}

TEST_F(RecentPidsTest, PidsSinceASecondBeforeTheListingAreTold) {
  note(0, 500);
  note(1000, 503);
  EXPECT_EQ(since(1000), Pids({501, 502, 503}));
  note(1040, 504);
  EXPECT_EQ(since(1000), Pids({501, 502, 503, 504}));
  note(1500, 510);
  note(2100, 510);
  EXPECT_EQ(since(2100), Pids({504, 505, 506, 507, 508, 509, 510}));
  note(2600, 510);
  EXPECT_EQ(since(2600), Pids(std::vector<pid_t>{}));
}

TEST_F(RecentPidsTest, AListingHoldsForAWhile) {
  note(0, 500);
  note(1000, 500);
  note(1050, 500);
  EXPECT_EQ(since(1000), Pids(std::vector<pid_t>{}));
  note(1051, 500);
  EXPECT_EQ(since(1000), std::nullopt);
}

TEST_F(RecentPidsTest, ManyPidsAreListed) {
  note(0, 500);
  note(1000, 600);
  EXPECT_TRUE(since(1000, 100));
  EXPECT_EQ(since(1000, 99), std::nullopt);
}

TEST_F(RecentPidsTest, NumbersThatBeganAgainAreListed) {
  note(0, 32000);
  note(1000, 301);
  EXPECT_EQ(since(1000, 100'000), std::nullopt);
}

TEST_F(RecentPidsTest, NothingIsToldWithoutTheLastPid) {
  note(0, 500);
  note(1000, 500);
  note(1010, std::nullopt);
  EXPECT_EQ(since(1000), std::nullopt);
  note(1020, 500);
  EXPECT_EQ(since(1020), std::nullopt);
}

TEST(LastPidTest, TheNextProcessHasAHigherNumber) {
  const LastPid last;
  const auto before = last.read();
  ASSERT_TRUE(before);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const auto after = last.read();
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(after);
  // Numbers begin again at 300 once in a long while.
  if (*after >= *before) {
    EXPECT_GT(child, *before);
    EXPECT_LE(child, *after);
  }
}

}  // namespace
}  // namespace shmvisor
