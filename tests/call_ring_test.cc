// The ring of calls: bounded, in order, and nobody who adds waits for who takes.
#include "supervisor/serve/call_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace shmvisor {
namespace {

CallEvent event_of(int shmid, pid_t tid = 0) {
  CallEvent event;
  event.shmid = shmid;
  event.tid = tid;
  return event;
}

class CallRingTest : public ::testing::Test {
 protected:
  void open() {
    ring_.open([this] { ++woken_; });
  }
  std::vector<int> take(std::size_t most = CallRing::kMostEvents) {
    std::vector<CallEvent> events(most);
    events.resize(ring_.take(events));
    std::vector<int> ids;
    for (const CallEvent& event : events) ids.push_back(event.shmid);
    return ids;
  }

  CallRing ring_;
  std::atomic<int> woken_{0};
};

TEST_F(CallRingTest, KeepsNothingThatNobodyWants) {
  EXPECT_FALSE(ring_.wanted());
  ring_.add(event_of(1));
  EXPECT_TRUE(take().empty());
  open();
  EXPECT_TRUE(ring_.wanted());
  EXPECT_TRUE(take().empty());
  ring_.add(event_of(2));
  ring_.close();
  ring_.add(event_of(3));
  EXPECT_EQ(take(), std::vector<int>{2});
  EXPECT_EQ(ring_.take_lost(), 0U);
}

TEST_F(CallRingTest, GivesTheOldestFirst) {
  open();
  for (int id = 0; id < 5; ++id) ring_.add(event_of(id));
  EXPECT_EQ(take(2), (std::vector<int>{0, 1}));
  EXPECT_EQ(take(), (std::vector<int>{2, 3, 4}));
  EXPECT_TRUE(take().empty());
}

TEST_F(CallRingTest, KeepsTheOrderInWhichPlacesWereReserved) {
  open();
  const auto first = ring_.reserve();
  ASSERT_TRUE(first);
  ring_.add(event_of(2));
  EXPECT_TRUE(take().empty());
  ASSERT_TRUE(ring_.may_sleep());
  const int woken = woken_;
  ring_.fill(*first, event_of(1));
  EXPECT_EQ(woken_, woken + 1);
  EXPECT_EQ(take(), (std::vector<int>{1, 2}));
}

TEST_F(CallRingTest, CountsWhatItLoses) {
  open();
  const int all = static_cast<int>(CallRing::kMostEvents) + 7;
  for (int id = 0; id < all; ++id) ring_.add(event_of(id));
  EXPECT_EQ(ring_.take_lost(), 7U);
  EXPECT_EQ(ring_.take_lost(), 0U);
  const auto kept = take();
  ASSERT_EQ(kept.size(), CallRing::kMostEvents);
  EXPECT_EQ(kept.front(), 0);
  ring_.add(event_of(all));
  EXPECT_EQ(take(), std::vector<int>{all});
}

TEST_F(CallRingTest, WakesOnceForManyEvents) {
  open();
  for (int id = 0; id < 100; ++id) ring_.add(event_of(id));
  EXPECT_EQ(woken_, 1);
  EXPECT_FALSE(ring_.may_sleep());
  take();
  EXPECT_TRUE(ring_.may_sleep());
  ring_.add(event_of(1));
  ring_.add(event_of(2));
  EXPECT_EQ(woken_, 2);
}

TEST_F(CallRingTest, ManyThreadsAddAtOnce) {
  open();
  constexpr int kThreads = 4;
  constexpr int kOfEach = 20'000;
  std::atomic<int> left{kThreads};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, thread, &left] {
      for (int id = 0; id < kOfEach; ++id) ring_.add(event_of(id, thread));
      --left;
    });
  }
  std::vector<int> last(kThreads, -1);
  std::uint64_t taken = 0;
  std::uint64_t lost = 0;
  std::vector<CallEvent> events(100);
  for (bool over = false; !over;) {
    over = left == 0;
    while (const std::size_t count = ring_.take(events)) {
      for (std::size_t at = 0; at < count; ++at) {
        const auto thread = static_cast<std::size_t>(events[at].tid);
        ASSERT_LT(thread, last.size());
        EXPECT_GT(events[at].shmid, last[thread]);  // of each thread in its order
        last[thread] = events[at].shmid;
      }
      taken += count;
    }
    lost += ring_.take_lost();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken + lost, static_cast<std::uint64_t>(kThreads) * kOfEach);
}

}  // namespace
}  // namespace shmvisor
