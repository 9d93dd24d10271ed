// run_aside(): whose work finds a thread.
#include "supervisor/tasks/run_aside.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace shmvisor {
namespace {

constexpr uid_t kAttacker = 65534;

/// Keeps whoever waits for it.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool is_waited_at_by(int threads) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return waiting_ == threads; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

class RunAsideTest : public ::testing::Test {
 protected:
  ~RunAsideTest() override {
    gate_->open();
    wait_for(runs_wanted_);
  }

  void keep_one_of(uid_t user) {
    ++runs_wanted_;
    run_aside(user, [gate = gate_, ran = ran_] {
      gate->wait();
      ran->fetch_add(1);
    });
  }
  void run_one_of(uid_t user) {
    ++runs_wanted_;
    run_aside(user, [ran = ran_] { ran->fetch_add(1); });
  }
  bool wait_for(int runs) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (ran_->load() != runs && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return ran_->load() == runs;
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::shared_ptr<std::atomic<int>> ran_ = std::make_shared<std::atomic<int>>(0);
  int runs_wanted_ = 0;
};

TEST_F(RunAsideTest, WhoKeepsThreadsKeepsItsOwn) {
  for (int one = 0; one < 10; ++one) keep_one_of(kAttacker);
  EXPECT_TRUE(gate_->is_waited_at_by(kMostOfOne));
  for (uid_t user = 1000; user < 1100; ++user) run_one_of(user);
  EXPECT_TRUE(wait_for(100));
}

TEST_F(RunAsideTest, WhatIsQueuedRunsInTheEnd) {
  for (int one = 0; one < 10; ++one) keep_one_of(kAttacker);
  gate_->open();
  EXPECT_TRUE(wait_for(10));
}

TEST_F(RunAsideTest, ManyUsersLeaveSomeThreads) {
  for (uid_t user = 1000; user < 1100; ++user) keep_one_of(user);
  for (uid_t user = 1000; user < 1100; ++user) keep_one_of(user);
  gate_->open();
  EXPECT_TRUE(wait_for(200));
}

TEST_F(RunAsideTest, WhatIsTooMuchIsNotDestroyedByWhoHandsItOver) {
  for (int one = 0; one < kMostOfOne; ++one) keep_one_of(kAttacker);
  ASSERT_TRUE(gate_->is_waited_at_by(kMostOfOne));
  for (std::size_t one = 0; one < kMostQueuedOfOne; ++one) keep_one_of(kAttacker);
  struct Kept {
    ~Kept() { destroyed_by->store(::gettid()); }
    std::shared_ptr<std::atomic<pid_t>> destroyed_by;
  };
  const auto destroyed_by = std::make_shared<std::atomic<pid_t>>(0);
  auto kept = std::make_shared<Kept>();
  kept->destroyed_by = destroyed_by;
  run_aside(kAttacker, [kept = std::move(kept)] { FAIL() << "it is run"; });
  for (int tries = 0; tries < 30000 && destroyed_by->load() == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_NE(destroyed_by->load(), 0);
  EXPECT_NE(destroyed_by->load(), ::gettid());
}

}  // namespace
}  // namespace shmvisor
