// A server dies while it holds a caller whose wait signals can end: the call comes again, and has
// the result of its first time, once.
#include "supervisor/inject/marked_call.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <deque>
#include <optional>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/left_calls.h"
#include "tests/journal_fixture.h"
#include "tests/server_that_dies.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr InstallFlags kSignalsEndTheWait{.wait_killable_recv = false};
constexpr std::uint64_t kLast = 77;
constexpr std::int64_t kSpoilt = 200;  ///< the register is not what it was

volatile sig_atomic_t signals_seen = 0;

/// shmget with a sixth argument, which it has still when it returns.
std::int64_t call_with_last_argument() {
  std::int64_t result = 0;
  register std::uint64_t last asm("r9") = kLast;
  asm volatile("syscall"
               : "=a"(result), "+r"(last)
               : "a"(SYS_shmget), "D"(1), "S"(2), "d"(3)
               : "rcx", "r11", "memory");
  return last == kLast ? result : kSpoilt;
}

/// Two calls by one instruction: the exit status has a digit of each.
int two_calls() {
  std::int64_t results = 0;
  for (int i = 0; i < 2; ++i) results = results * 10 + call_with_last_argument();
  return static_cast<int>(results);
}

class MarkedCallTest : public JournalTest {
 protected:
  static void SetUpTestSuite() { KickTimer::install_handler(nullptr); }

  /// A server holds the caller of the next call, which it is about to change something for, does
  /// `more` and dies.
  template <typename More>
  void hold_and_die(SupervisedChild& child, More more) {
    ASSERT_TRUE(wait_readable(child.listener().fd()));
    ASSERT_TRUE(serve_and_die([&] {
      KickTimer::allow_on_this_thread();
      CallSlots slots(*file_, {});
      child.listener().note_calls_in(slots);
      const auto notif = child.listener().receive();
      if (!notif) return;
      PendingCall call(child.listener(), *notif);
      CallerHold hold(call, expected_, access_warnings_, {});
      hold.secure_answer();
      if (hold.held()) more(call, hold, slots);
      die();
    }));
  }
  /// The change of the call counts, by the store that says what its result is.
  void decide(CallSlots& slots, PendingCall& call, std::int64_t result) {
    slots.announce(call.id(), result);
    CallSlots::decided(*file_, *CallSlots::take_decision());
  }
  LeftCalls next_left(SupervisedChild& child) {
    KickTimer::allow_on_this_thread();
    CallSlots& slots = kept_.emplace_back(*file_, std::vector<journal::CallDecision>());
    child.listener().note_calls_in(slots);
    return go_on_with(child.listener(), slots.take_left());
  }
  CallSlots& next_server(SupervisedChild& child) {
    EXPECT_TRUE(next_left(child).to_serve.empty());
    return kept_.back();
  }
  /// Receives a call. What it is given where nothing had been decided of it is `result`.
  bool serve(SupervisedChild& child, std::int64_t result) {
    PendingCall call(child.listener(), child.receive());
    CallerHold hold(call, expected_, access_warnings_, {});
    if (finish_marked_call(call, hold)) return true;
    EXPECT_EQ(call.data().args[5], kLast);
    EXPECT_TRUE(call.answer(result));
    return false;
  }

  std::unique_ptr<StateFile> file_ = new_file();
  std::deque<CallSlots> kept_;  ///< outlive the listeners
  ExpectedCalls expected_{[] {}};
  AccessWarnings access_warnings_;
};

TEST_F(MarkedCallTest, WhatWasDecidedIsTheResult) {
  SupervisedChild child(two_calls, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child,
               [&](PendingCall& call, CallerHold&, CallSlots& slots) { decide(slots, call, 9); });
  CallSlots& slots = next_server(child);
  EXPECT_EQ(slots.taken(), 1U);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_EQ(slots.taken(), 0U);
  EXPECT_FALSE(serve(child, 2));
  EXPECT_EQ(exit_status_of(child.child()), 92);
}

TEST_F(MarkedCallTest, WhereNothingWasDecidedItIsMadeOnceMore) {
  SupervisedChild child(two_calls, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child, [](PendingCall&, CallerHold&, CallSlots&) {});
  CallSlots& slots = next_server(child);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_EQ(slots.taken(), 1U) << "the death that it has seen";
  EXPECT_FALSE(serve(child, 3));
  EXPECT_EQ(slots.taken(), 0U);
  EXPECT_FALSE(serve(child, 4));
  EXPECT_EQ(exit_status_of(child.child()), 34);
}

// The very same call follows. It is another one.
TEST_F(MarkedCallTest, AResultThatWasGivenIsNotGivenAgain) {
  SupervisedChild child(two_calls, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child, [&](PendingCall& call, CallerHold& hold, CallSlots& slots) {
    decide(slots, call, 9);
    hold.thread().set_result(9);
    (void)hold.thread().release();
  });
  CallSlots& slots = next_server(child);
  EXPECT_FALSE(serve(child, 2));
  EXPECT_EQ(exit_status_of(child.child()), 92);
  EXPECT_EQ(next_server(child).taken(), 0U) << "kept no longer than its thread lives";
  slots.forget(child.listener().fd());
}

TEST_F(MarkedCallTest, ASecondDeathLosesNothing) {
  SupervisedChild child(two_calls, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child,
               [&](PendingCall& call, CallerHold&, CallSlots& slots) { decide(slots, call, 9); });
  ASSERT_TRUE(serve_and_die([&] {
    (void)next_server(child);
    PendingCall call(child.listener(), child.receive());
    CallerHold hold(call, expected_, access_warnings_, {});
    if (!hold.hold()) ::_exit(1);
    die();
  }));
  (void)next_server(child);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_FALSE(serve(child, 2));
  EXPECT_EQ(exit_status_of(child.child()), 92);
}

// The bug that kills the server is not in what the mark is for.
TEST_F(MarkedCallTest, ACallThatEndsTwoServersIsRefused) {
  SupervisedChild child([] { return two_calls() == -ENOMEM * 11 ? 0 : 1; }, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  for (int death = 0; death < 2; ++death) {
    // The call comes with the mark of the first time, and once more without it.
    ASSERT_TRUE(serve_and_die([&] {
      CallSlots& slots = next_server(child);
      for (int tries = 0; tries < 2; ++tries) {
        PendingCall call(child.listener(), child.receive());
        CallerHold hold(call, expected_, access_warnings_, {});
        if (finish_marked_call(call, hold)) continue;
        hold.secure_answer();
        if (!hold.held() || slots.taken() != 1) ::_exit(1);
        die();
      }
    }));
  }
  const LeftCalls left = next_left(child);
  EXPECT_EQ(left.refused, 1U);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_EQ(kept_.back().taken(), 0U);
  EXPECT_FALSE(serve(child, -ENOMEM)) << "the next call is another one";
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// As shmat and shmdt are.
TEST_F(MarkedCallTest, SoIsOneWhoseCallerIsHeldWithoutAMark) {
  SupervisedChild child([] { return two_calls() == -ENOMEM * 11 ? 0 : 1; }, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  for (int death = 0; death < 2; ++death) {
    ASSERT_TRUE(serve_and_die([&] {
      CallSlots& slots = next_server(child);
      PendingCall call(child.listener(), child.receive());
      CallerHold hold(call, expected_, access_warnings_, {});
      if (finish_marked_call(call, hold) || !hold.hold() || slots.taken() != 1) ::_exit(1);
      die();
    }));
  }
  EXPECT_EQ(next_left(child).refused, 1U);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_EQ(kept_.back().taken(), 0U);
  EXPECT_FALSE(serve(child, -ENOMEM));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// Its handler would make EINTR of a call that the kernel was to repeat by its own order.
TEST_F(MarkedCallTest, AHandlerOfItsRunsFirst) {
  SupervisedChild child(
      [] {
        struct sigaction action {};
        action.sa_handler = [](int) { signals_seen = signals_seen + 1; };
        ::sigaction(SIGUSR1, &action, nullptr);
        const int results = two_calls();
        return signals_seen == 1 ? results : 1;
      },
      kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child, [&](PendingCall& call, CallerHold&, CallSlots& slots) {
    decide(slots, call, 9);
    ::kill(child.pid(), SIGUSR1);
  });
  (void)next_server(child);
  EXPECT_TRUE(serve(child, 1));
  EXPECT_FALSE(serve(child, 2));
  EXPECT_EQ(exit_status_of(child.child()), 92);
}

TEST_F(MarkedCallTest, ACallerThatDiesIsForgotten) {
  SupervisedChild child(two_calls, kSignalsEndTheWait);
  ASSERT_EQ(child.trouble(), "");
  hold_and_die(child, [&](PendingCall& call, CallerHold&, CallSlots& slots) {
    decide(slots, call, 9);
    ::kill(child.pid(), SIGKILL);
  });
  ASSERT_TRUE(child.child().wait(0));
  EXPECT_EQ(next_server(child).taken(), 0U);
}

// Whoever makes up a mark, or bears another's, gets nothing by it.
TEST_F(MarkedCallTest, AnotherCallIsNotTakenForIt) {
  CallSlots slots(*file_, {});
  journal::CallSlot* const slot = slots.take(3, std::chrono::milliseconds(0));
  slot->notification.id = 0x123456789abcdefU;
  slot->notification.pid = 5;
  slot->notification.data.args[0] = 6;
  slots.received(*slot);
  const auto mark = slots.mark(slot->notification.id);
  ASSERT_TRUE(mark);
  EXPECT_FALSE(slots.mark(1)) << "no such call";
  seccomp_notif again = slot->notification;
  again.id = 4711;
  again.data.args[5] = *mark;
  EXPECT_FALSE(slots.first_of(again, 3)) << "it is being served still";
  slots.await_again(slot->notification.id);
  ASSERT_TRUE(slots.first_of(again, 3));
  EXPECT_EQ(slots.first_of(again, 3)->notification.id, slot->notification.id);
  EXPECT_FALSE(slots.first_of(again, 4));
  again.data.args[5] = static_cast<std::uint32_t>(*mark);
  EXPECT_TRUE(slots.first_of(again, 3)) << "of a register of 32 bits";
  again.data.args[5] = 0;
  EXPECT_FALSE(slots.first_of(again, 3));
  again.data.args[5] = *mark;
  seccomp_notif other = again;
  other.pid = 6;
  EXPECT_FALSE(slots.first_of(other, 3));
  other = again;
  other.data.args[0] = 7;
  EXPECT_FALSE(slots.first_of(other, 3));
  other = again;
  other.data.nr += 1;
  EXPECT_FALSE(slots.first_of(other, 3));
  slots.free(slot->notification.id);
  EXPECT_FALSE(slots.first_of(again, 3));
}

}  // namespace
}  // namespace shmvisor
