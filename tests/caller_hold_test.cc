// CallerHold and RepeatedCall, through RemoteSpace, on children whose wait signals can end.
#include "supervisor/inject/caller_hold.h"

#include <new>
#include <thread>

#include "supervisor/inject/tracee.h"
#include "tests/expected_receiver.h"
#include "tests/remote_space_fixture.h"

namespace shmvisor {
namespace {

constexpr InstallFlags kSignalsEndTheWait{.wait_killable_recv = false};

class CallerHoldTest : public RemoteSpaceTest {};

TEST_F(CallerHoldTest, ACallerThatIsTakenOverIsLentADescriptorByItsOwnCall) {
  SupervisedChild child(
      [&] {
        seen_->descriptors_before = count_descriptors();
        seen_->result = raw_call(SYS_shmat);
        if (seen_->result < 0) return 1;
        pointer(seen_->result)[0] = 'y';
        return count_descriptors() == seen_->descriptors_before ? 0 : 2;
      },
      kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  PendingCall call(child.listener(), child.receive());
  RemoteSpace space(call, expected_, features_, access_warnings_);
  space.secure_answer();
  EXPECT_TRUE(space.answer_is_secure());
  ExpectedReceiver receiver(child.listener(), expected_);
  EXPECT_TRUE(call.answer(as_result(space.map(whole(*memory), open(*memory)))));
  EXPECT_EQ(receiver.claimed(), 1);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(CallerHoldTest, WantOfMemoryWhileItsCallIsRepeated) {
  SupervisedChild child([&] { return raw_call(SYS_shmat) == -ENOMEM ? 0 : 1; }, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  bool is_short = false;
  ExpectedCalls short_of_memory([&] {
    if (is_short) throw std::bad_alloc();
  });
  PendingCall call(child.listener(), child.receive());
  RemoteSpace space(call, short_of_memory, features_, access_warnings_);
  space.secure_answer();
  ASSERT_TRUE(space.answer_is_secure());
  is_short = true;
  EXPECT_TRUE(call.answer(as_result(space.map(whole(*memory), open(*memory)))));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use());
}

// Its tid may be anybody's by now. Who attaches to it all the same abandons it.
TEST_F(CallerHoldTest, ACallerThatGotAwayIsNotAttachedToAgain) {
  SupervisedChild child([&] { return raw_call(SYS_shmat) == 7 ? 0 : 1; }, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  seccomp_notif other = child.receive();
  other.data.args[0] += 1;  // so that the child is found in another call
  std::thread([&] {
    KickTimer::allow_on_this_thread();
    PendingCall call(child.listener(), other);
    RemoteSpace space(call, expected_, features_, access_warnings_);
    space.secure_answer();
    EXPECT_FALSE(space.answer_is_secure());
    space.secure_answer();
    EXPECT_EQ(as_result(space.map(whole(*memory), open(*memory))), -ESRCH);
    EXPECT_FALSE(call.answer(0));
    EXPECT_FALSE(Tracee::this_thread_abandoned_one());
  }).join();
  EXPECT_TRUE(child.listener().respond(child.receive().id, 7));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

}  // namespace
}  // namespace shmvisor
