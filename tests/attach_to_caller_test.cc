// let_through_and_hold() and follow_clone(), on children that wait in a call.
#include "supervisor/inject/attach_to_caller.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/serve/followed_clone.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class LetThroughTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { KickTimer::install_handler(nullptr); }

  struct Outcome {
    bool held = false;
    bool abandoned_one = false;
  };
  /// In a thread of its own, whose end lets go of what it abandoned.
  static Outcome let_through(SupervisedChild& child, const seccomp_notif& notif) {
    Outcome outcome;
    std::thread([&] {
      KickTimer::allow_on_this_thread();
      PendingCall call(child.listener(), notif);
      outcome.held = let_through_and_hold(call).ok();
      outcome.abandoned_one = Tracee::this_thread_abandoned_one();
    }).join();
    return outcome;
  }
  /// The same of a clone, whose child would be held.
  static Outcome follow(SupervisedChild& child, const seccomp_notif& notif) {
    Outcome outcome;
    std::thread([&] {
      KickTimer::allow_on_this_thread();
      PendingCall call(child.listener(), notif);
      FollowedClones followed;
      follow_clone(call, followed, 0, [&outcome](pid_t) { outcome.held = true; });
      for (int more = 0; more < FollowedClones::kMostOfUser; ++more) {
        EXPECT_TRUE(followed.enter(0)) << "its place was given back";
      }
      outcome.abandoned_one = Tracee::this_thread_abandoned_one();
    }).join();
    return outcome;
  }
  /// The call 1 of such a child is void, and its call 2 waits for 6 as its answer.
  static int call_again() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
    raw_call(SYS_shmdt, 1);
    return raw_call(SYS_shmdt, 2) == 6 ? 0 : 1;
  }
  struct Calls {
    seccomp_notif before{};
    seccomp_notif now{};
  };
  static Calls calls_of(SupervisedChild& child) {
    EXPECT_TRUE(child.listener().respond(child.receive().id, 0));
    Calls calls;
    calls.before = child.receive();
    ::kill(child.pid(), SIGUSR1);
    calls.now = child.receive();
    EXPECT_FALSE(child.listener().alive(calls.before.id));
    return calls;
  }
};

TEST_F(LetThroughTest, TheCallerIsHeldOnItsWayBack) {
  SupervisedChild child([] {
    const long result = raw_call(SYS_shmdt, 1);
    return result == -EINVAL || result == -ENOSYS ? 0 : 1;  // as the kernel has it, or not
  });
  ASSERT_EQ(child.trouble(), "");
  const Outcome outcome = let_through(child, child.receive());
  EXPECT_TRUE(outcome.held);
  EXPECT_FALSE(outcome.abandoned_one);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// The thread that has the tid may be another one by then, which is not to be stopped.
TEST_F(LetThroughTest, AThreadThatIsInThatCallNoLongerIsNotHeld) {
  SupervisedChild child(call_again, {.wait_killable_recv = false});
  ASSERT_EQ(child.trouble(), "");
  const Calls calls = calls_of(child);
  const Outcome outcome = let_through(child, calls.before);
  EXPECT_FALSE(outcome.held);
  EXPECT_TRUE(outcome.abandoned_one);
  EXPECT_TRUE(child.listener().respond(calls.now.id, 6)) << "its wait was ended";
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// That thread is not waited for either: it may wait for an answer of ours.
TEST_F(LetThroughTest, AThreadThatIsInThatCloneNoLongerIsNotFollowed) {
  SupervisedChild child(call_again, {.wait_killable_recv = false});
  ASSERT_EQ(child.trouble(), "");
  const Calls calls = calls_of(child);
  const auto began = std::chrono::steady_clock::now();
  const Outcome outcome = follow(child, calls.before);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  EXPECT_FALSE(outcome.held);
  EXPECT_TRUE(outcome.abandoned_one);
  EXPECT_TRUE(child.listener().respond(calls.now.id, 6)) << "its wait was ended";
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// The others' children begin as they are, so that nobody keeps all threads by clones that fail.
TEST(FollowedClonesTest, AUserHasSoManyAtATime) {
  FollowedClones followed;
  for (int number = 0; number < FollowedClones::kMostOfUser; ++number) {
    EXPECT_TRUE(followed.enter(1000));
  }
  EXPECT_FALSE(followed.enter(1000));
  EXPECT_TRUE(followed.enter(1001)) << "another user";
  followed.leave(1000);
  EXPECT_TRUE(followed.enter(1000));
  EXPECT_FALSE(followed.enter(1000));
}

// It goes on to its next call, and gives back no place, having none.
TEST_F(LetThroughTest, ACloneBeyondThoseOfItsUserIsLetThrough) {
  SupervisedChild child([] {
    raw_call(SYS_shmdt, 1);
    return raw_call(SYS_shmdt, 2) == 6 ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  FollowedClones followed;
  while (followed.enter(7)) {
  }
  PendingCall call(child.listener(), child.receive());
  follow_clone(call, followed, 7, [](pid_t) { ADD_FAILURE() << "followed"; });
  EXPECT_TRUE(child.listener().respond(child.receive().id, 6));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(followed.enter(7)) << "it gave back a place that it did not have";
}

}  // namespace
}  // namespace shmvisor
