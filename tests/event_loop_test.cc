// EventLoop and Nudge: what is called when, and what may go away meanwhile.
#include "supervisor/loop/event_loop.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/loop/nudge.h"
#include "tests/no_descriptors.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using Clock = EventLoop::Clock;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }

  void fill() const { EXPECT_EQ(::write(write_end.get(), "x", 1), 1); }
  void drain() const {
    char byte = 0;
    EXPECT_EQ(::read(read_end.get(), &byte, 1), 1);
  }

  UniqueFd read_end;
  UniqueFd write_end;
};

class EventLoopTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  /// What is the case already is seen to.
  void turn() { EXPECT_TRUE(loop_.turn(Clock::now())); }
  EventLoop::Source note(int fd, const std::string& name) {
    return loop_.watch(fd, POLLIN, [this, name](short) { said_ += name; });
  }
  EventLoop::Timer note_timer(const std::string& name) {
    return loop_.timer([this, name] { said_ += name; });
  }

  EventLoop loop_;
  std::string said_;
};

TEST_F(EventLoopTest, OnlyWhatIsReadyIsTold) {
  const Pipe ready;
  const Pipe silent;
  ready.fill();
  const auto source = note(ready.read_end.get(), "a");
  const auto other = note(silent.read_end.get(), "b");
  turn();
  EXPECT_EQ(said_, "a");
  turn();
  EXPECT_EQ(said_, "aa") << "as long as it is ready";
  ready.drain();
  turn();
  EXPECT_EQ(said_, "aa");
}

TEST_F(EventLoopTest, TheEndOfTheOtherSideIsToldWithoutBeingAskedFor) {
  Pipe pipe;
  short told = 0;
  const auto source = loop_.watch(pipe.read_end.get(), 0, [&](short what) { told = what; });
  pipe.fill();
  turn();
  EXPECT_EQ(told, 0);
  pipe.write_end.reset();
  turn();
  EXPECT_NE(told & POLLHUP, 0);
}

TEST_F(EventLoopTest, NoDescriptorIsNeverReady) {
  const auto source = note(-1, "a");
  turn();
  EXPECT_EQ(said_, "");
}

TEST_F(EventLoopTest, SourcesComeInTheirOrderAndTimersAfterThem) {
  const Pipe pipe;
  pipe.fill();
  auto timer = note_timer("t");
  timer.set(Clock::now());
  const auto first = note(pipe.read_end.get(), "1");
  const auto second = note(pipe.read_end.get(), "2");
  turn();
  EXPECT_EQ(said_, "12t");
}

TEST_F(EventLoopTest, ATimerComesOnceAndNotTooEarly) {
  const auto when = Clock::now() + milliseconds(30);
  auto timer = note_timer("t");
  EXPECT_FALSE(loop_.next_due()) << "not set yet";
  timer.set(when);
  EXPECT_EQ(loop_.next_due(), when);
  while (said_.empty()) EXPECT_TRUE(loop_.turn());
  EXPECT_GE(Clock::now(), when);
  EXPECT_FALSE(timer.due());
  turn();
  EXPECT_EQ(said_, "t");
}

TEST_F(EventLoopTest, TimersAreSetEarlierAndCancelled) {
  const auto now = Clock::now();
  auto timer = note_timer("t");
  timer.set_by(now + milliseconds(20));
  timer.set_by(now + milliseconds(40));
  EXPECT_EQ(timer.due(), now + milliseconds(20));
  timer.set_by(now);
  EXPECT_EQ(timer.due(), now);
  timer.cancel();
  turn();
  EXPECT_EQ(said_, "");
}

TEST_F(EventLoopTest, ATimerMaySetItselfAgain) {
  EventLoop::Timer timer;
  timer = loop_.timer([&] {
    said_ += "t";
    if (said_.size() < 3) timer.set(Clock::now());
  });
  timer.set(Clock::now());
  EXPECT_TRUE(loop_.run_while([&] { return said_.size() < 3; }));
  turn();
  EXPECT_EQ(said_, "ttt");
}

TEST_F(EventLoopTest, WhatIsGivenUpIsNotCalled) {
  const Pipe pipe;
  pipe.fill();
  auto timer = note_timer("t");
  timer.set(Clock::now());
  { const auto source = note(pipe.read_end.get(), "a"); }
  timer.reset();
  turn();
  EXPECT_EQ(said_, "");
  EXPECT_FALSE(loop_.next_due());
}

TEST_F(EventLoopTest, ACallbackMayDestroyItselfAndOthers) {
  const Pipe pipe;
  pipe.fill();
  std::list<EventLoop::Source> sources(3);
  auto timer = note_timer("t");
  timer.set(Clock::now());
  // What the callback has must last until it returns.
  auto shared = std::make_shared<std::string>("a");
  const std::weak_ptr<std::string> watched = shared;
  sources.front() = loop_.watch(pipe.read_end.get(), POLLIN, [&, shared](short) {
    sources.clear();
    timer.reset();
    said_ += *shared;
  });
  shared.reset();
  for (auto at = std::next(sources.begin()); at != sources.end(); ++at) {
    *at = note(pipe.read_end.get(), "b");
  }
  turn();
  EXPECT_EQ(said_, "a");
  EXPECT_TRUE(watched.expired());
  turn();
  EXPECT_EQ(said_, "a");
}

TEST_F(EventLoopTest, WhatACallbackMakesWaitsForTheNextTurn) {
  const Pipe pipe;
  pipe.fill();
  std::vector<EventLoop::Source> made;
  const auto source = loop_.watch(pipe.read_end.get(), POLLIN, [&](short) {
    said_ += "a";
    for (int i = 0; i < 100 && made.size() < 100; ++i) {
      made.push_back(note(pipe.read_end.get(), "b"));
    }
  });
  turn();
  EXPECT_EQ(said_, "a");
  turn();
  EXPECT_EQ(said_, "aa" + std::string(100, 'b'));
}

TEST_F(EventLoopTest, ADescriptorThatTookAnothersNumberIsNotTakenForThat) {
  Pipe first;
  Pipe second;
  first.fill();
  second.fill();
  const int number = second.read_end.get();
  EventLoop::Source replaced;
  const auto source = loop_.watch(first.read_end.get(), POLLIN, [&](short) {
    said_ += "a";
    second.read_end.reset();
    if (::dup2(first.read_end.get(), number) == number) second.read_end.reset(number);
    replaced = note(number, "c");
  });
  replaced = note(number, "b");
  turn();
  EXPECT_EQ(said_, "a");
}

TEST_F(EventLoopTest, ASourceMayPause) {
  const Pipe pipe;
  pipe.fill();
  auto source = note(pipe.read_end.get(), "a");
  const auto when = Clock::now() + milliseconds(30);
  source.pause_until(when);
  turn();
  EXPECT_EQ(said_, "");
  EXPECT_EQ(loop_.next_due(), when) << "the loop wakes for it";
  while (said_.empty()) EXPECT_TRUE(loop_.turn());
  EXPECT_GE(Clock::now(), when);
}

TEST_F(EventLoopTest, WhoThrowsEndsNothingAndIsCalledAgain) {
  const Pipe pipe;
  pipe.fill();
  int tries = 0;
  const auto source = loop_.watch(pipe.read_end.get(), POLLIN, [&](short) {
    if (++tries == 1) throw std::bad_alloc();
    if (tries == 2) throw std::runtime_error("another");
    pipe.drain();
  });
  auto timer = loop_.timer([&, thrown = false]() mutable {
    said_ += "t";
    if (!std::exchange(thrown, true)) throw std::bad_alloc();
  });
  timer.set(Clock::now());
  const auto other = note(pipe.read_end.get(), "b");
  const auto began = Clock::now();
  turn();
  EXPECT_EQ(tries, 1);
  EXPECT_EQ(said_, "bt") << "the others have their turn";
  turn();
  EXPECT_EQ(tries, 1) << "not at once";
  EXPECT_TRUE(loop_.run_while([&] { return tries < 3; }));
  EXPECT_GE(Clock::now(), began + 2 * EventLoop::kInWant);
  EXPECT_EQ(std::count(said_.begin(), said_.end(), 't'), 2);
}

TEST_F(EventLoopTest, ANudgeWhoseCallbackThrowsIsNotLost) {
  int tries = 0;
  const Nudge nudge(loop_, [&] {
    if (++tries == 1) throw std::bad_alloc();
  });
  nudge.nudger()();
  turn();
  EXPECT_EQ(tries, 1);
  EXPECT_TRUE(loop_.next_due()) << "it is called again";
  EXPECT_TRUE(loop_.run_while([&] { return tries < 2 && loop_.next_due(); }));
  EXPECT_TRUE(loop_.turn(Clock::now() + milliseconds(20)));
  EXPECT_TRUE(loop_.turn(Clock::now()));
  EXPECT_EQ(tries, 2) << "once";
}

// Any process of our user may lower it, and poll(2) fails then.
TEST_F(EventLoopTest, ALoweredLimitOfDescriptorsEndsNothing) {
  const Pipe ready;
  const Pipe silent;
  Pipe left;
  const auto one = note(ready.read_end.get(), "r");
  const auto another = note(silent.read_end.get(), "s");
  short seen = 0;
  const auto hung_up = loop_.watch(left.read_end.get(), 0, [&](short events) { seen = events; });
  auto timer = note_timer("t");
  const NoDescriptors none;
  const auto when = Clock::now() + milliseconds(30);
  timer.set(when);
  while (said_.empty()) ASSERT_TRUE(loop_.turn());
  EXPECT_EQ(said_, "t");
  EXPECT_GE(Clock::now(), when);
  EXPECT_EQ(seen, 0);
  ready.fill();
  left.write_end.reset();
  ASSERT_TRUE(loop_.turn());
  EXPECT_EQ(said_, "tr");
  EXPECT_EQ(seen, POLLHUP);
}

TEST_F(EventLoopTest, ManySources) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const int count = static_cast<int>(std::min<rlim_t>(limit.rlim_cur / 4, 1000));
  std::vector<Pipe> pipes(static_cast<std::size_t>(count));
  std::vector<EventLoop::Source> sources;
  std::vector<int> told(pipes.size(), 0);
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    sources.push_back(
        loop_.watch(pipes[i].read_end.get(), POLLIN, [&told, i](short) { ++told[i]; }));
  }
  for (std::size_t i = 0; i < pipes.size(); i += 3) pipes[i].fill();
  for (std::size_t i = 0; i < pipes.size(); i += 2) sources[i].reset();
  turn();
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    EXPECT_EQ(told[i], i % 3 == 0 && i % 2 != 0 ? 1 : 0) << i;
  }
}

TEST_F(EventLoopTest, ItMayBeDestroyedBeforeWhatItCalls) {
  const Pipe pipe;
  auto loop = std::make_unique<EventLoop>();
  auto source = loop->watch(pipe.read_end.get(), POLLIN, [](short) {});
  auto timer = loop->timer([] {});
  loop.reset();
  timer.set(Clock::now());
  source.pause_until(Clock::now());
  source.reset();
}

TEST_F(EventLoopTest, AnotherThreadNudges) {
  int nudged = 0;
  std::function<void()> nudger;
  {
    const Nudge nudge(loop_, [&] { ++nudged; });
    ASSERT_TRUE(nudge.valid());
    nudger = nudge.nudger();
    std::thread other([&] {
      std::this_thread::sleep_for(milliseconds(20));
      nudger();
    });
    EXPECT_TRUE(loop_.run_while([&] { return nudged == 0; }));
    other.join();
    nudger();
    nudger();
    turn();
    EXPECT_EQ(nudged, 2) << "two nudges in one turn are one";
    turn();
    EXPECT_EQ(nudged, 2);
  }
  nudger();  // whoever has it may be late
  turn();
  EXPECT_EQ(nudged, 2);
}

}  // namespace
}  // namespace shmvisor
