// BorrowedTable, through RemoteSpace, on children whose table of descriptors is full.
#include "supervisor/inject/borrowed_table.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <new>
#include <string>
#include <thread>

#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/raised_limit.h"
#include "tests/expected_receiver.h"
#include "tests/remote_space_fixture.h"

namespace shmvisor {
namespace {

/// Callers whose table is full. Somebody must receive the call that we make in their name.
class BorrowedTableTest : public RemoteSpaceTest {
 protected:
  /// No further descriptor fits.
  static void fill_table(rlim_t hard_limit) {
    const rlimit limit{64, hard_limit};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    while (::dup(0) >= 0) {
    }
  }
  /// Whether there is more of it than what its parent has to reap.
  static bool lives(pid_t pid) {
    const auto status = TaskStatus::read(pid);
    return pid != 0 && status && status->state != 'Z' && status->state != 'X';
  }
};

TEST_F(BorrowedTableTest, AFullTableIsNoObstacle) {
  for (const rlim_t hard_limit : {rlim_t{64}, rlim_t{128}}) {
    SupervisedChild child([&] {
      fill_table(hard_limit);
      seen_->descriptors_before = count_descriptors();
      seen_->result = raw_call(SYS_shmat);
      if (seen_->result < 0) return 1;
      pointer(seen_->result)[0] = 'y';
      seen_->descriptors_after = count_descriptors();
      // Nothing is left of the process that lent its table.
      if (::waitpid(-1, nullptr, __WALL) != -1 || errno != ECHILD) return 2;
      rlimit now{};
      ::getrlimit(RLIMIT_NOFILE, &now);
      return now.rlim_cur == 64 && now.rlim_max == hard_limit ? 0 : 3;
    });
    ASSERT_EQ(child.trouble(), "");
    const auto memory = make(1);
    PendingCall call(child.listener(), child.receive());
    {
      RemoteSpace space(call, expected_, features_, access_warnings_);
      ExpectedReceiver receiver(child.listener(), expected_);
      const auto address = space.map(whole(*memory), open(*memory));
      EXPECT_TRUE(address) << "errno " << address.error().value();
      EXPECT_EQ(receiver.claimed(), 2) << "its own call, repeated, and the lender's";
      EXPECT_TRUE(memory->in_use());
      EXPECT_TRUE(call.answer(as_result(address)));
    }
    EXPECT_EQ(exit_status_of(child.child()), 0);
    EXPECT_GE(seen_->descriptors_before, 64);
    EXPECT_EQ(seen_->descriptors_after, seen_->descriptors_before);
    EXPECT_FALSE(memory->in_use());
  }
}

TEST_F(BorrowedTableTest, MmapsOwnErrorsComeThrough) {
  SupervisedChild child([&] {
    fill_table(64);
    return raw_call(SYS_shmat) == -ENOMEM ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  PendingCall call(child.listener(), child.receive());
  {
    RemoteSpace space(call, expected_, features_, access_warnings_);
    ExpectedReceiver receiver(child.listener(), expected_);
    const auto address =
        space.map({0xffff'8000'0000'0000, kPage, Placement::kExact, kReadWrite}, open(*memory));
    EXPECT_TRUE(call.answer(as_result(address)));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use());
}

// Nobody receives the lender's call: it is given up after two seconds, and nothing is left.
TEST_F(BorrowedTableTest, ALenderThatNobodyHears) {
  SupervisedChild child([&] {
    fill_table(64);
    const long result = raw_call(SYS_shmat);
    if (::waitpid(-1, nullptr, __WALL) != -1 || errno != ECHILD) return 2;
    return result == -ENOMEM ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  PendingCall call(child.listener(), child.receive());
  {
    RemoteSpace space(call, expected_, features_, access_warnings_);
    std::thread hears_its_own([&] { EXPECT_TRUE(expected_.claim(child.receive())); });
    const auto address = space.map(whole(*memory), open(*memory));
    hears_its_own.join();
    EXPECT_TRUE(call.answer(as_result(address)));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use());
}

// A lender that was let go would write what the child writes once its call is over.
TEST_F(BorrowedTableTest, WantOfMemoryDoesNotLetTheLenderGo) {
  SupervisedChild child([&] {
    fill_table(64);
    const long result = raw_call(SYS_shmat);
    seen_->resident[0] += 1;
    if (::waitpid(-1, nullptr, __WALL) != -1 || errno != ECHILD) return 2;
    return result == -ENOMEM ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  const std::string pid = std::to_string(child.pid());
  const std::string children = "/proc/" + pid + "/task/" + pid + "/children";
  ExpectedCalls short_of_memory([&] {
    std::string lender;
    if (std::ifstream(children) >> lender) throw std::bad_alloc();
  });
  PendingCall call(child.listener(), child.receive());
  RemoteSpace space(call, short_of_memory, features_, access_warnings_);
  ExpectedReceiver receiver(child.listener(), short_of_memory);
  EXPECT_TRUE(call.answer(as_result(space.map(whole(*memory), open(*memory)))));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_EQ(seen_->resident[0], 1);
  EXPECT_FALSE(memory->in_use());
}

// The lender that it was just making is traced by us, and nobody was told of it.
TEST_F(BorrowedTableTest, ACallerThatIsKilledLeavesNoLenderBehind) {
  constexpr int kMostAttempts = 200;
  int left_behind = 0;
  for (int attempt = 0; attempt < kMostAttempts && left_behind < 3; ++attempt) {
    SupervisedChild child([&] {
      fill_table(64);
      raw_call(SYS_shmat);
      return 0;
    });
    ASSERT_EQ(child.trouble(), "");
    const auto memory = make(1);
    const std::string pid = std::to_string(child.pid());
    const std::string children = "/proc/" + pid + "/task/" + pid + "/children";
    std::atomic<bool> over{false};
    std::atomic<pid_t> lender{0};
    std::thread killer([&] {
      for (pid_t seen = 0; !over && seen == 0; lender = seen) std::ifstream(children) >> seen;
      ::kill(child.pid(), SIGKILL);
    });
    bool is_left = false;
    bool ends = false;
    std::thread([&] {
      KickTimer::allow_on_this_thread();
      {
        PendingCall call(child.listener(), child.receive());
        RemoteSpace space(call, expected_, features_, access_warnings_);
        ExpectedReceiver receiver(child.listener(), expected_);
        (void)call.answer(as_result(space.map(whole(*memory), open(*memory))));
      }
      over = true;
      killer.join();
      is_left = lives(lender);
      ends = Tracee::this_thread_abandoned_one();
    }).join();
    if (!is_left) continue;
    ++left_behind;
    ASSERT_TRUE(ends) << "a lender stays for as long as the thread";
    for (int looks = 0; looks < 1000 && lives(lender); ++looks) ::usleep(10'000);
    EXPECT_FALSE(lives(lender));
  }
  RecordProperty("left_behind", left_behind);
  if (left_behind == 0) GTEST_SKIP() << "no caller was killed at the right moment";
}

// RLIMIT_NPROC forbids the lender (but not to root). None is needed where the limit may be raised:
// below the hard one, of a process of one thread.
TEST_F(BorrowedTableTest, ACallerThatMayNotFork) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become a user without other processes";
  for (const bool has_thread : {false, true}) {
    for (const rlim_t hard_limit : {rlim_t{64}, rlim_t{128}}) {
      SupervisedChild child([&] {
        std::jthread thread;
        if (has_thread) {
          thread = std::jthread([] {
            // setresuid() interrupts it.
            for (;;) ::pause();
          });
        }
        fill_table(hard_limit);
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_NPROC, &none);
        if (::setresgid(54321, 54321, 54321) != 0 || ::setresuid(54321, 54321, 54321) != 0) {
          ::_exit(2);
        }
        seen_->result = raw_call(SYS_shmat);
        rlimit now{};
        ::getrlimit(RLIMIT_NOFILE, &now);
        ::_exit(now.rlim_cur == 64 && now.rlim_max == hard_limit ? 0 : 3);
        return 0;
      });
      ASSERT_EQ(child.trouble(), "");
      const auto memory = make(1);
      serve_map(child, *memory, whole(*memory));
      EXPECT_EQ(exit_status_of(child.child()), 0);
      if (hard_limit > 64 && !has_thread) {
        EXPECT_GT(seen_->result, 0);
      } else {
        EXPECT_EQ(seen_->result, -ENOMEM)
            << "hard limit " << hard_limit << ", thread " << has_thread;
      }
      EXPECT_FALSE(memory->in_use());
    }
  }
}

TEST_F(BorrowedTableTest, ALimitIsRaisedForAMoment) {
  SupervisedChild child([&] {
    fill_table(128);
    raw_call(SYS_shmat);
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  PendingCall call(child.listener(), child.receive());
  CallerHold hold(call, expected_, access_warnings_, {});
  ASSERT_TRUE(hold.hold());
  const auto limit = [&] {
    rlimit now{};
    ::prlimit(child.pid(), RLIMIT_NOFILE, nullptr, &now);
    return now.rlim_cur;
  };
  {
    const auto raised = RaisedLimit::of(hold.thread());
    ASSERT_TRUE(raised);
    EXPECT_EQ(limit(), 128U);
  }
  EXPECT_EQ(limit(), 64U);
  {
    const auto raised = RaisedLimit::of(hold.thread());
    ASSERT_TRUE(raised);
    const rlimit its_own{70, 100};
    ASSERT_EQ(::prlimit(child.pid(), RLIMIT_NOFILE, &its_own, nullptr), 0);
  }
  EXPECT_EQ(limit(), 70U) << "somebody else's change stays";
  (void)call.answer(-EINVAL);
}

}  // namespace
}  // namespace shmvisor
