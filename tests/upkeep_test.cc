// Upkeep: what goes on of itself in a session while its main loop waits.
#include "supervisor/session/upkeep.h"

#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "supervisor/scope/descendant_scope.h"
#include "tests/no_descriptors.h"
#include "tests/removed_segment.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

class UpkeepTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  /// Begins to look after a session.
  void begin() {
    if (resources_ == nullptr) resources_ = std::make_shared<SessionResources>(features_);
    upkeep_ = std::make_unique<Upkeep>(loop_, resources_);
    session_ = Session::of_command(resources_, Limits());
    session_->scope().add(std::make_shared<DescendantScope>(features_));
    upkeep_->add(session_);
  }
  void* map_removed_segment() {
    return shmvisor::map_removed_segment(*session_, *resources_, DescendantScope(features_));
  }
  [[nodiscard]] std::size_t segments() const {
    return static_cast<std::size_t>(session_->registries().initial()->read()->in_use());
  }
  /// False where it does not happen in time. Nothing else wakes the loop before that.
  bool turn_until(const std::function<bool()>& condition, std::chrono::seconds bound) {
    deadline_ = Clock::now() + bound;
    auto timer = loop_.timer([] {});
    timer.set(deadline_);
    EXPECT_TRUE(loop_.run_while([&] { return !condition() && Clock::now() < deadline_; }));
    return condition();
  }
  /// Of a condition: nothing is to be looked at again.
  [[nodiscard]] bool at_rest() const { return loop_.next_due() == deadline_; }

  KernelFeatures features_;
  EventLoop loop_;
  std::shared_ptr<SessionResources> resources_;
  std::unique_ptr<Upkeep> upkeep_;
  std::shared_ptr<Session> session_;
  Clock::time_point deadline_;
};

constexpr std::chrono::seconds kSoon(30);

TEST_F(UpkeepTest, WhatIsReleasedGoes) {
  begin();
  void* const mapped = map_removed_segment();
  EXPECT_EQ(segments(), 1U);
  EXPECT_TRUE(loop_.turn(Clock::now()));
  EXPECT_EQ(segments(), 1U) << "it is mapped";
  std::thread other([mapped] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::munmap(mapped, kPageBytes);
  });
  EXPECT_TRUE(turn_until([this] { return segments() == 0; }, kSoon));
  other.join();
  // What was noted is looked at again for a while, and the loop is left alone then.
  EXPECT_TRUE(turn_until([this] { return at_rest(); }, kSoon));
}

// A serving thread may take the news, and find that the file is still being closed.
TEST_F(UpkeepTest, NewsThatAServingThreadTookAreSeenTo) {
  begin();
  if (resources_->machine.release_events.fd() < 0) GTEST_SKIP() << "no inotify instance";
  ::munmap(map_removed_segment(), kPageBytes);
  std::thread([this] { resources_->machine.release_events.pump(); }).join();
  EXPECT_TRUE(turn_until([this] { return segments() == 0; }, kSoon));
}

TEST_F(UpkeepTest, WithoutInotifyANeedThatBeginsInAServingThreadIsSeenTo) {
  features_.mark_absent(KernelFeature::kInotify);
  begin();
  EXPECT_FALSE(loop_.next_due()) << "nothing to look after yet";
  std::atomic<bool> unmapped{false};
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::munmap(map_removed_segment(), kPageBytes);
    unmapped = true;
  });
  EXPECT_TRUE(turn_until([&] { return unmapped && segments() == 0; }, kSoon));
  other.join();
}

TEST_F(UpkeepTest, ANamespaceThatBeginsWhileTheLoopWaitsIsForgottenWhenItIsOver) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  begin();
  Gate ready;
  Child child([&] {
    if (::unshare(CLONE_NEWIPC) != 0) return 1;
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  EXPECT_TRUE(loop_.turn(Clock::now()));
  std::weak_ptr<Registry> own;
  std::thread([&] {
    ThreadIdentities threads(features_);
    const auto found = session_->namespaces().of(*threads.of(child.pid()).identity);
    if (found) own = found->registry;
  }).join();
  ASSERT_FALSE(own.expired());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  // A minute, where other programs begin all the time: see IpcNamespaces.
  EXPECT_TRUE(turn_until([&] { return own.expired(); }, std::chrono::seconds(100)));
  EXPECT_TRUE(upkeep_->wait_for_end(kSoon));
}

// The kernel drops a namespace when its last thread leaves it; others may leave theirs all the
// time.
TEST_F(UpkeepTest, ANamespaceThatAThreadHasLeftIsLookedForSoonButNotAllTheTime) {
  begin();
  const Child stays([] { return ::pause(); });
  const auto other = Session::of_others(resources_, Limits(), 1);
  other->scope().add(std::make_shared<DescendantScope>(features_));
  upkeep_->add(other);
  ThreadIdentities threads(features_);
  ASSERT_TRUE(other->namespaces().of(*threads.of(::gettid()).identity));
  EXPECT_TRUE(loop_.turn(Clock::now()));
  const auto began = Clock::now();
  ASSERT_TRUE(loop_.next_due());
  EXPECT_GT(*loop_.next_due(), began) << "a second is left";
  other->namespaces().left({}, 1);
  EXPECT_FALSE(other->has_left_namespace()) << "nobody's";
  int sweeps = -1;
  while (Clock::now() < began + 5 * Upkeep::kBetweenSweeps) {
    if (!other->has_left_namespace()) {
      ++sweeps;
      std::thread([&] { other->namespaces().left({}, NamespaceIds::ours().ipc); }).join();
    }
    EXPECT_TRUE(loop_.turn(Clock::now() + std::chrono::milliseconds(1)));
  }
  EXPECT_GE(sweeps, 1);
  EXPECT_LE(sweeps, (Clock::now() - began) / Upkeep::kBetweenSweeps + 1);
  EXPECT_TRUE(other->needs_sweeping()) << "the child is there";
  EXPECT_TRUE(upkeep_->wait_for_end(kSoon));
}

TEST_F(UpkeepTest, WhereNobodyCanNudgeItLooks) {
  features_.mark_absent(KernelFeature::kInotify);
  resources_ = std::make_shared<SessionResources>(features_);
  {
    const NoDescriptors none;
    begin();
  }
  ::munmap(map_removed_segment(), kPageBytes);
  EXPECT_TRUE(turn_until([this] { return segments() == 0; }, kSoon));
}

/// Keeps whoever asks for its processes.
class HeldScope : public ProcessScope {
 public:
  [[nodiscard]] Result<std::vector<pid_t>> processes() const override {
    asked_ = true;
    while (!let_go_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return std::vector<pid_t>();
  }
  [[nodiscard]] bool asked() const { return asked_; }
  void let_go() { let_go_ = true; }

 private:
  mutable std::atomic<bool> asked_{false};
  std::atomic<bool> let_go_{false};
};

TEST_F(UpkeepTest, ASweepThatIsDrawnOutKeepsNoSegments) {
  features_.mark_absent(KernelFeature::kInotify);
  begin();
  const auto held = std::make_shared<HeldScope>();
  const auto other = Session::of_others(resources_, Limits(), 1);
  other->scope().add(held);
  upkeep_->add(other);
  ThreadIdentities threads(features_);
  ASSERT_TRUE(other->namespaces().of(*threads.of(::gettid()).identity));
  EXPECT_TRUE(turn_until([&] { return held->asked(); }, kSoon));
  ::munmap(map_removed_segment(), kPageBytes);
  EXPECT_TRUE(turn_until([this] { return segments() == 0; }, kSoon));
  EXPECT_FALSE(upkeep_->wait_for_end(std::chrono::milliseconds(1))) << "it goes on";
  held->let_go();
  EXPECT_TRUE(upkeep_->wait_for_end(kSoon));
}

TEST_F(UpkeepTest, ASessionEndsWithItsUsers) {
  features_.mark_absent(KernelFeature::kInotify);
  begin();
  void* const mapped = map_removed_segment();
  EXPECT_TRUE(session_->needs_settling());
  EXPECT_TRUE(loop_.turn(Clock::now()));
  const std::weak_ptr<Session> watched = session_;
  session_.reset();
  EXPECT_TRUE(turn_until([&] { return watched.expired() && at_rest(); }, kSoon));
  ::munmap(mapped, kPageBytes);
}

}  // namespace
}  // namespace shmvisor
