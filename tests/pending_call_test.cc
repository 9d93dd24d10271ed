#include "supervisor/notify/pending_call.h"

#include <linux/audit.h>

#include "emulation/abi/call_numbers.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// A route that writes down what is delivered.
class NotedRoute : public AnswerRoute {
 public:
  struct Notes {
    std::vector<std::int64_t> delivered;
    bool alive = true;
    bool destroyed = false;
  };
  explicit NotedRoute(Notes& notes) : notes_(notes) {}
  ~NotedRoute() override { notes_.destroyed = true; }
  bool deliver(std::int64_t result) override {
    notes_.delivered.push_back(result);
    return notes_.alive;
  }

 private:
  Notes& notes_;
};

TEST(PendingCallTest, WhatTheNotificationSays) {
  Listener nowhere{UniqueFd()};
  seccomp_notif notif{};
  notif.id = 77;
  notif.pid = 1234;
  notif.data.nr = kX86_64Calls.shmat;
  notif.data.arch = AUDIT_ARCH_X86_64;
  for (std::size_t at = 0; at < 6; ++at) notif.data.args[at] = 0x1'0000'0000 * (at + 1);
  const PendingCall call(nowhere, notif);
  EXPECT_EQ(call.id(), 77U);
  EXPECT_EQ(call.tid(), 1234);
  EXPECT_EQ(call.raw().abi, Abi::kX86_64);
  EXPECT_EQ(call.raw().number, kX86_64Calls.shmat);
  for (std::size_t at = 0; at < 6; ++at) {
    EXPECT_EQ(call.raw().arguments[at], 0x1'0000'0000 * (at + 1));
  }
  notif.data.arch = AUDIT_ARCH_I386;
  const PendingCall narrow(nowhere, notif);
  EXPECT_EQ(narrow.raw().abi, Abi::kI386);
  EXPECT_FALSE(narrow.alive());
}

// Whatever filter notified it: no other architecture's number is taken for one of ours.
TEST(PendingCallTest, AnotherArchitecturesCallIsNone) {
  Listener nowhere{UniqueFd()};
  seccomp_notif notif{};
  notif.data.nr = kX86_64Calls.unshare;
  notif.data.arch = AUDIT_ARCH_AARCH64;
  const PendingCall call(nowhere, notif);
  EXPECT_EQ(decode(call.raw()).error(), Errno(ENOSYS));
  EXPECT_FALSE(changes_namespaces(call.raw()));
}

TEST(PendingCallTest, AnsweredItIsNotAnsweredAgain) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 9 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  {
    PendingCall call(child.listener(), child.receive());
    EXPECT_TRUE(call.alive());
    EXPECT_TRUE(call.answer(9));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST(PendingCallTest, DroppedItAnswersEnosys) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == -ENOSYS ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  { const PendingCall call(child.listener(), child.receive()); }
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST(PendingCallTest, ADeadCallerDidNotGetIt) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  PendingCall call(child.listener(), child.receive());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.child().wait(0));
  EXPECT_FALSE(call.alive());
  EXPECT_FALSE(call.answer(0));
}

TEST(PendingCallTest, ReroutedTheAnswerGoesThere) {
  Listener nowhere{UniqueFd()};
  NotedRoute::Notes notes;
  {
    PendingCall call(nowhere, {});
    EXPECT_FALSE(call.alive());
    call.reroute(std::make_unique<NotedRoute>(notes));
    EXPECT_TRUE(call.alive()) << "the route holds the caller";
    EXPECT_TRUE(call.answer(0x7f00'0000'1000));
    EXPECT_FALSE(notes.destroyed);
  }
  EXPECT_EQ(notes.delivered, std::vector<std::int64_t>{0x7f00'0000'1000});
  EXPECT_TRUE(notes.destroyed);
}

TEST(PendingCallTest, ReroutedAndDroppedItAnswersEnosysThere) {
  Listener nowhere{UniqueFd()};
  NotedRoute::Notes notes;
  {
    PendingCall call(nowhere, {});
    call.reroute(std::make_unique<NotedRoute>(notes));
  }
  EXPECT_EQ(notes.delivered, std::vector<std::int64_t>{-ENOSYS});
}

TEST(PendingCallTest, TheRouteSaysWhetherTheCallerGotIt) {
  Listener nowhere{UniqueFd()};
  NotedRoute::Notes notes;
  notes.alive = false;
  PendingCall call(nowhere, {});
  call.reroute(std::make_unique<NotedRoute>(notes));
  EXPECT_FALSE(call.answer(1));
}

}  // namespace
}  // namespace shmvisor
