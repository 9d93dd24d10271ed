// Calls that a server had received when it died: the next one finds them, and answers each once.
#include "supervisor/journal/call_slots.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <vector>

#include "supervisor/notify/left_calls.h"
#include "supervisor/notify/pending_call.h"
#include "tests/journal_fixture.h"
#include "tests/server_that_dies.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class CallSlotsTest : public JournalTest {
 protected:
  /// A server receives a call, does `more` and dies.
  template <typename More>
  void receive_and_die(SupervisedChild& child, More more) {
    ASSERT_TRUE(wait_readable(child.listener().fd()));
    ASSERT_TRUE(serve_and_die([&] {
      CallSlots slots(*file_, {});
      child.listener().note_calls_in(slots);
      if (const auto notif = child.listener().receive()) more(*notif, slots);
    }));
  }
  /// The next server serves what is left with the result 7.
  LeftCalls serve_left(SupervisedChild& child) {
    CallSlots slots(*file_, {});
    child.listener().note_calls_in(slots);
    LeftCalls calls = go_on_with(child.listener(), slots.take_left());
    for (const seccomp_notif& notif : calls.to_serve) {
      PendingCall call(child.listener(), notif);
      EXPECT_TRUE(call.alive());
      EXPECT_TRUE(call.answer(7));
    }
    EXPECT_EQ(slots.taken(), 0U);
    child.listener().note_calls_in(next_slots());
    return calls;
  }

  /// Of the next server: outlive its listener.
  CallSlots& next_slots() {
    return kept_.emplace_back(*file_, std::vector<journal::CallDecision>());
  }

  std::unique_ptr<StateFile> file_ = new_file();
  std::deque<CallSlots> kept_;
};

TEST_F(CallSlotsTest, ACallHasASlotTillItIsAnswered) {
  CallSlots slots(*file_, {});
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  child.listener().note_calls_in(slots);
  const seccomp_notif notif = child.receive();
  EXPECT_EQ(slots.taken(), 1U);
  EXPECT_EQ(file_->slots()[0].notification.id, notif.id);
  EXPECT_EQ(file_->slots()[0].notification.pid, static_cast<std::uint32_t>(child.pid()));
  EXPECT_TRUE(child.listener().respond(notif.id, 5));
  EXPECT_EQ(slots.taken(), 0U);
  EXPECT_EQ(exit_status_of(child.child()), 5);
}

TEST_F(CallSlotsTest, ACallOfADeadServerIsServedByTheNext) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [](const seccomp_notif&, CallSlots&) {});
  const LeftCalls calls = serve_left(child);
  EXPECT_EQ(calls.to_serve.size(), 1U);
  EXPECT_EQ(exit_status_of(child.child()), 7);
}

TEST_F(CallSlotsTest, WhatWasDecidedIsTheAnswer) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child,
                  [](const seccomp_notif& notif, CallSlots& slots) { slots.deliver(notif.id, 9); });
  const LeftCalls calls = serve_left(child);
  EXPECT_EQ(calls.answered, 1U);
  EXPECT_EQ(calls.to_serve.size(), 0U);
  EXPECT_EQ(exit_status_of(child.child()), 9);
}

constexpr std::uint64_t kCaller = 42;  ///< ThreadIdentity::unique()

/// In a child: makes its call again where it is told to, as the kernel does for it where a stop or
/// a signal is pending.
int call_until_answered() {
  constexpr int kCallAgainSeen = -513;
  for (;;) {
    const long result = raw_call(SYS_shmdt);
    if (result != kCallAgainSeen) return static_cast<int>(result);
  }
}

TEST_F(CallSlotsTest, ACallThatIsMadeAgainFindsItsNote) {
  SupervisedChild child(call_until_answered);
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [&](const seccomp_notif& notif, CallSlots& slots) {
    slots.note(notif.id)->mark.store(5);
    slots.note(notif.id)->caller.store(kCaller);
    (void)child.listener().send_back(notif.id);
  });
  CallSlots& slots = next_slots();
  child.listener().note_calls_in(slots);
  EXPECT_TRUE(go_on_with(child.listener(), slots.take_left()).to_serve.empty());
  EXPECT_EQ(slots.taken(), 1U);
  const seccomp_notif again = child.receive();
  EXPECT_EQ(slots.taken(), 2U);
  const auto earlier = slots.take_up(again, kCaller);
  ASSERT_NE(earlier.note, nullptr);
  EXPECT_EQ(earlier.note->mark.load(), 5U);
  EXPECT_EQ(slots.taken(), 1U);
  // A server that dies now has it in the slot of the call.
  CallSlots next(*file_, {});
  EXPECT_EQ(next.take_left().size(), 1U);
  const auto still = next.take_up(again, kCaller);
  ASSERT_NE(still.note, nullptr);
  EXPECT_EQ(still.note->mark.load(), 5U);
  EXPECT_TRUE(child.listener().respond(again.id, 6));
  EXPECT_EQ(exit_status_of(child.child()), 6);
}

TEST_F(CallSlotsTest, ANoteIsNotThatOfAnotherThreadWithItsTid) {
  SupervisedChild child(call_until_answered);
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [&](const seccomp_notif& notif, CallSlots& slots) {
    slots.note(notif.id)->mark.store(5);
    slots.note(notif.id)->caller.store(kCaller);
    (void)child.listener().send_back(notif.id);
  });
  CallSlots& slots = next_slots();
  child.listener().note_calls_in(slots);
  (void)go_on_with(child.listener(), slots.take_left());
  const seccomp_notif again = child.receive();
  EXPECT_EQ(slots.take_up(again, kCaller + 1).note, nullptr);
  EXPECT_EQ(slots.taken(), 1U);
  EXPECT_TRUE(child.listener().respond(again.id, 6));
  EXPECT_EQ(exit_status_of(child.child()), 6);
}

// Of a caller that was held its notification says nothing: the deaths are counted over calls.
TEST_F(CallSlotsTest, DeathsCountForACallThatIsMadeAgain) {
  SupervisedChild child(call_until_answered);
  ASSERT_EQ(child.trouble(), "");
  for (std::uint32_t deaths = 1; deaths <= CallSlots::kMostDeaths; ++deaths) {
    receive_and_die(child, [&](const seccomp_notif& notif, CallSlots& slots) {
      (void)slots.take_up(notif, kCaller);
      slots.note(notif.id)->caller.store(kCaller);
      slots.serve(notif.id);
      (void)child.listener().send_back(notif.id);
    });
    CallSlots& next = next_slots();
    child.listener().note_calls_in(next);
    (void)go_on_with(child.listener(), next.take_left());
    if (deaths != CallSlots::kMostDeaths) continue;
    const seccomp_notif again = child.receive();
    EXPECT_EQ(next.take_up(again, kCaller).deaths, CallSlots::kMostDeaths);
    EXPECT_TRUE(child.listener().respond(again.id, 6));
  }
  EXPECT_EQ(exit_status_of(child.child()), 6);
}

TEST_F(CallSlotsTest, ANoteEndsWithAnotherCallOfItsThread) {
  SupervisedChild child([] {
    (void)raw_call(SYS_shmdt);
    return static_cast<int>(raw_call(SYS_shmget));
  });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [&](const seccomp_notif& notif, CallSlots& slots) {
    slots.note(notif.id)->mark.store(5);
    (void)child.listener().send_back(notif.id);
  });
  CallSlots& slots = next_slots();
  child.listener().note_calls_in(slots);
  (void)go_on_with(child.listener(), slots.take_left());
  EXPECT_EQ(slots.taken(), 1U);
  const seccomp_notif other = child.receive();
  EXPECT_EQ(slots.take_up(other, kCaller).note, nullptr);
  EXPECT_EQ(slots.taken(), 1U);
  EXPECT_TRUE(child.listener().respond(other.id, 6));
  EXPECT_EQ(exit_status_of(child.child()), 6);
}

TEST_F(CallSlotsTest, AnAnswerThatWasGivenIsNotGivenAgain) {
  SupervisedChild child(
      [] { return static_cast<int>(raw_call(SYS_shmdt) * 10 + raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [&](const seccomp_notif& notif, CallSlots& slots) {
    slots.deliver(notif.id, 3);
    // As respond() does, but for the end of it.
    Listener same(UniqueFd(::dup(child.listener().fd())));
    (void)same.respond(notif.id, 3);
    same.note_calls_in(slots);
  });
  const LeftCalls calls = serve_left(child);
  EXPECT_EQ(calls.answered + calls.to_serve.size(), 0U);
  EXPECT_TRUE(child.listener().respond(child.receive().id, 4));
  EXPECT_EQ(exit_status_of(child.child()), 34);
}

TEST_F(CallSlotsTest, ACallInServiceAtTwoDeathsIsRefused) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == -ENOMEM ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child,
                  [&](const seccomp_notif& notif, CallSlots& slots) { slots.serve(notif.id); });
  ASSERT_TRUE(serve_and_die([&] {
    CallSlots slots(*file_, {});
    const auto left = slots.take_left();
    if (left.size() == 1 && !left[0].decided) slots.serve(left[0].notification.id);
  }));
  const LeftCalls calls = serve_left(child);
  EXPECT_EQ(calls.refused, 1U);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// A call that waits for its turn has no part in it.
TEST_F(CallSlotsTest, ACallThatWaitedIsNotRefused) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child,
                  [&](const seccomp_notif& notif, CallSlots& slots) { slots.serve(notif.id); });
  for (int death = 0; death < 4; ++death) {
    ASSERT_TRUE(serve_and_die([&] {
      CallSlots slots(*file_, {});
      for (const auto& left : slots.take_left()) {
        slots.serve(left.notification.id);
        slots.put_aside(left.notification.id);
      }
    }));
  }
  EXPECT_EQ(serve_left(child).to_serve.size(), 1U);
  EXPECT_EQ(exit_status_of(child.child()), 7);
}

TEST_F(CallSlotsTest, ACallerThatDiedMeanwhileIsForgotten) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  receive_and_die(child, [](const seccomp_notif&, CallSlots&) {});
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.child().wait(0));
  EXPECT_EQ(serve_left(child).to_serve.size(), 0U);
}

TEST_F(CallSlotsTest, AServerThatDiesWhileItReceivesLeavesNothing) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  ASSERT_TRUE(serve_and_die([&] {
    CallSlots slots(*file_, {});
    (void)slots.take(child.listener().fd(), std::chrono::milliseconds(0));
  }));
  EXPECT_EQ(serve_left(child).to_serve.size(), 0U);
  EXPECT_TRUE(child.listener().respond(child.receive().id, 2));
  EXPECT_EQ(exit_status_of(child.child()), 2);
}

// The store that makes a segment exist makes its creator's result known.
TEST_F(CallSlotsTest, ASegmentIsMadeOnce) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmget)); });
  ASSERT_EQ(child.trouble(), "");
  for (const bool marked : {true, false}) {
    const auto file = new_file();
    ChangeJournal journal(*file, read(*file));
    JournalWorld world;
    world.registries.observe(journal, 0);
    CallSlots slots(*file, {});
    journal::CallSlot* const slot = slots.take(3, std::chrono::milliseconds(0));
    slot->notification.id = 4711;
    slot->notification.pid = 1;
    slots.received(*slot);
    slots.announce(4711, 0);
    const auto segment = world.add();
    EXPECT_FALSE(CallSlots::take_decision()) << "it is that change's alone";
    world.apply(SetNextId{5});
    // The journal's store alone, and then a slot that was not told any more.
    if (!marked) slot->state.store(journal::CallSlot::kReceived);
    CallSlots next(*file, read(*file).decisions);
    const auto left = next.take_left();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].decided, 0);
    slots.free(4711);
  }
  EXPECT_TRUE(child.listener().respond(child.receive().id, 0));
}

TEST_F(CallSlotsTest, WhereAllAreTakenNobodyReceives) {
  CallSlots slots(*file_, {});
  std::vector<journal::CallSlot*> taken;
  for (std::uint32_t i = 0; i < journal::kSlots; ++i) {
    taken.push_back(slots.take(3, std::chrono::milliseconds(0)));
    ASSERT_NE(taken.back(), nullptr);
    taken.back()->notification.id = 1000 + i * 7;
    taken.back()->notification.pid = 1;
    slots.received(*taken.back());
  }
  EXPECT_EQ(slots.take(3, std::chrono::milliseconds(1)), nullptr);
  slots.free(1000 + 17 * 7);
  EXPECT_EQ(slots.take(3, std::chrono::milliseconds(0)), taken[17]);
  EXPECT_EQ(slots.taken(), journal::kSlots);
  slots.give_back(*taken[17]);
  slots.forget(4);
  EXPECT_EQ(slots.taken(), journal::kSlots - 1);
  slots.forget(3);
  EXPECT_EQ(slots.taken(), 0U);
}

}  // namespace
}  // namespace shmvisor
