// The wish that another build takes over, between clients, servers and the keeper: UpgradeDesk.
#include "supervisor/control/upgrade_desk.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

/// A server's desk, and what it tells.
class Desk {
 public:
  Desk(KeptUpgrade& upgrade, const UniqueFd& asked, const UniqueFd& answered)
      : desk_(loop_, upgrade, asked.get(), answered.get()) {
    desk_.tell([this](const UpgradeDesk::Refusal& refusal) { refusals.push_back(refusal); });
  }
  bool ask(const std::string& program) { return desk_.ask(program); }
  void turn() {
    (void)loop_.run_while([] { return true; },
                          EventLoop::Clock::now() + std::chrono::milliseconds(5));
  }

  std::vector<UpgradeDesk::Refusal> refusals;

 private:
  EventLoop loop_;
  UpgradeDesk desk_;
};

class UpgradeDeskTest : public testing::Test {
 protected:
  /// Whether the keeper is woken.
  bool hears() {
    std::uint64_t count = 0;
    return ::read(asked_.get(), &count, sizeof(count)) == sizeof(count);
  }
  /// As the keeper does for a client's wish.
  void refuse(const std::string& program, const std::string& why) {
    upgrade_.answered.store(upgrade_.asked.load());
    tell_refusal(program, why, upgrade_.asked.load());
  }
  void refuse_signal(const std::string& program, const std::string& why) {
    tell_refusal(program, why, 0);
  }
  void tell_refusal(const std::string& program, const std::string& why, std::uint32_t wish) {
    upgrade_.refuse(program, why, wish);
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(answered_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

  KeptUpgrade upgrade_;
  const UniqueFd asked_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  const UniqueFd answered_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};

TEST_F(UpgradeDeskTest, AWishIsHandedOnAndItsRefusalBack) {
  Desk desk(upgrade_, asked_, answered_);
  EXPECT_TRUE(hears());  // a wish may be left
  EXPECT_TRUE(desk.ask("/a/shmvisor"));
  EXPECT_TRUE(hears());
  EXPECT_TRUE(upgrade_.under_way());
  EXPECT_EQ(KeptUpgrade::get(upgrade_.program), "/a/shmvisor");
  refuse("/a/shmvisor", "it is none");
  desk.turn();
  ASSERT_EQ(desk.refusals.size(), 1U);
  EXPECT_EQ(desk.refusals[0].program, "/a/shmvisor");
  EXPECT_EQ(desk.refusals[0].why_not, "it is none");
  EXPECT_EQ(desk.refusals[0].number, 1U);
  EXPECT_TRUE(desk.refusals[0].answers_client);
  EXPECT_TRUE(upgrade_.all_told());
  EXPECT_TRUE(hears());  // for the next wish
  desk.turn();
  EXPECT_EQ(desk.refusals.size(), 1U);
  EXPECT_TRUE(desk.ask(""));
}

TEST_F(UpgradeDeskTest, OneWishIsUnderWayAtATime) {
  Desk desk(upgrade_, asked_, answered_);
  EXPECT_TRUE(desk.ask("/a"));
  EXPECT_FALSE(desk.ask("/a"));
  EXPECT_FALSE(desk.ask("/b"));
  EXPECT_EQ(KeptUpgrade::get(upgrade_.program), "/a");
  EXPECT_EQ(upgrade_.asked.load(), 1U);
}

TEST_F(UpgradeDeskTest, ARefusalOfASignalsWishAnswersNoClient) {
  Desk desk(upgrade_, asked_, answered_);
  EXPECT_TRUE(desk.ask("/a"));
  refuse_signal("/b", "no");
  desk.turn();
  ASSERT_EQ(desk.refusals.size(), 1U);
  EXPECT_FALSE(desk.refusals[0].answers_client);
  EXPECT_FALSE(desk.ask("/a"));
}

TEST_F(UpgradeDeskTest, ARefusalThatIsNotToldYetIsTheFirstClients) {
  Desk desk(upgrade_, asked_, answered_);
  EXPECT_TRUE(desk.ask("/a"));
  refuse("/a", "no");
  EXPECT_FALSE(desk.ask("/b"));
  desk.turn();
  ASSERT_EQ(desk.refusals.size(), 1U);
  EXPECT_EQ(desk.refusals[0].program, "/a");
  EXPECT_TRUE(desk.refusals[0].answers_client);
  EXPECT_TRUE(desk.ask("/b"));
}

TEST_F(UpgradeDeskTest, TheNextServerAdoptsWhatIsUnderWay) {
  { EXPECT_TRUE(Desk(upgrade_, asked_, answered_).ask("/a")); }
  // That server may have died before it woke the keeper.
  (void)hears();
  Desk next(upgrade_, asked_, answered_);
  EXPECT_TRUE(hears());
  EXPECT_FALSE(next.ask("/b"));
  EXPECT_TRUE(next.ask("/a"));
  EXPECT_EQ(upgrade_.asked.load(), 1U);
  refuse("/a", "no");
  next.turn();
  ASSERT_EQ(next.refusals.size(), 1U);
  EXPECT_TRUE(next.refusals[0].answers_client);
}

TEST_F(UpgradeDeskTest, ARefusalThatNoServerHasToldIsToldByTheNext) {
  { EXPECT_TRUE(Desk(upgrade_, asked_, answered_).ask("/a")); }
  refuse("/a", "no");
  std::uint64_t count = 0;
  (void)!::read(answered_.get(), &count, sizeof(count));  // heard, and not told
  Desk next(upgrade_, asked_, answered_);
  next.turn();
  EXPECT_EQ(next.refusals.size(), 1U);
  Desk after_that(upgrade_, asked_, answered_);
  after_that.turn();
  EXPECT_EQ(after_that.refusals.size(), 0U);
}

TEST_F(UpgradeDeskTest, APathThatIsTooLongIsCut) {
  Desk desk(upgrade_, asked_, answered_);
  const std::string path(KeptUpgrade::kTextBytes * 2, 'a');
  EXPECT_TRUE(desk.ask(path));
  EXPECT_EQ(KeptUpgrade::get(upgrade_.program), path.substr(0, KeptUpgrade::kTextBytes - 1));
}

}  // namespace
}  // namespace shmvisor
