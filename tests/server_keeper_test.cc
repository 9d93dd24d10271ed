// ServerKeeper, with servers that the test lets die.
#include "supervisor/launch/server_keeper.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <atomic>
#include <memory>

#include "tests/server_that_dies.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class ServerKeeperTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  /// What servers tell.
  struct Told {
    std::atomic<int> servers{0};
    std::atomic<int> kept{-1};
    std::atomic<int> named{-1};
    std::atomic<int> asked{-1};
    std::atomic<int> dropped{-1};
    std::atomic<int> all_right{0};
  };

  /// The keeper's exit status.
  int run(ServerKeeper::Plan plan) {
    pid_t server = 0;
    plan.started = [&server](pid_t pid) { server = pid; };
    EventLoop loop;
    ServerKeeper keeper(loop, kept_, std::move(plan));
    EXPECT_TRUE(keeper.valid());
    keeper.start();
    while (!keeper.status()) {
      siginfo_t end{};
      if (::waitid(P_PID, static_cast<id_t>(server), &end, WEXITED) != 0) return -1;
      keeper.see_end(end);
    }
    keeper.close_what_is_left();
    return *keeper.status();
  }

  static int open_one() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
  static bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

  const std::unique_ptr<StateFile> state_file_ = std::move(*StateFile::create());
  KeptUpgrade upgrade_;
  Kept kept_{*KeeperPage::create(), *state_file_, nullptr, upgrade_, -1, -1, -1, ::getpid()};
  KeeperPage& page_ = kept_.page;
  SharedPage<Told> told_;
};

TEST_F(ServerKeeperTest, AnotherOneGoesOnWithWhatIsKept) {
  const UniqueFd own(open_one());
  ServerKeeper::Plan plan;
  plan.serve = [&] {
    if (told_->servers.fetch_add(1) == 0) {
      told_->kept.store(open_one());
      page_.descriptors.keep(told_->kept.load());
      told_->named.store(open_one());
      told_->asked.store(open_one());
      told_->dropped.store(open_one());
      die();
    }
    const bool all_right = page_.was_killed.load() && is_open(own.get()) &&
                           is_open(told_->kept.load()) && is_open(told_->named.load()) &&
                           is_open(told_->asked.load()) && !is_open(told_->dropped.load());
    told_->all_right.store(all_right ? 1 : 0);
    page_.status.store(7);
    return 7;
  };
  plan.name_kept = [this](std::vector<int>& all) { all.push_back(told_->named.load()); };
  plan.most_named = 1;
  plan.keeps = [this](int fd) { return fd == told_->asked.load(); };
  EXPECT_EQ(run(std::move(plan)), 7);
  EXPECT_EQ(told_->servers.load(), 2);
  EXPECT_EQ(told_->all_right.load(), 1);
  EXPECT_TRUE(is_open(own.get()));
  EXPECT_FALSE(is_open(told_->named.load())) << "at the end it is closed";
  ::close(told_->kept.load());
  ::close(told_->asked.load());
}

TEST_F(ServerKeeperTest, TooManyDeathsEndIt) {
  ServerKeeper::Plan plan;
  plan.most_deaths = 3;
  plan.serve = [this] {
    ++told_->servers;
    return 0;  // without a status in the page: a death, too
  };
  EXPECT_EQ(run(std::move(plan)), 125);
  EXPECT_EQ(told_->servers.load(), 3);
  EXPECT_FALSE(page_.was_killed.load());
}

TEST_F(ServerKeeperTest, AStateThatIsLostEndsIt) {
  ServerKeeper::Plan plan;
  plan.serve = [this] {
    ++told_->servers;
    page_.lost.store(true);
    return 1;
  };
  EXPECT_EQ(run(std::move(plan)), 125);
  EXPECT_EQ(told_->servers.load(), 1);
}

TEST_F(ServerKeeperTest, AFirstOneThatMustLast) {
  ServerKeeper::Plan plan;
  plan.first_must_last = true;
  plan.serve = [this] {
    ++told_->servers;
    die();
    return 0;
  };
  EXPECT_EQ(run(std::move(plan)), 125);
  EXPECT_EQ(told_->servers.load(), 1);
  EXPECT_TRUE(page_.gave_up.load());
}

}  // namespace
}  // namespace shmvisor
