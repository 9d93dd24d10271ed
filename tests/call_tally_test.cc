// What calls add up to, counted by many threads.
#include "supervisor/serve/call_tally.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

class CallTallyTest : public ShmTest {
 protected:
  /// A shmget by this thread.
  struct Call {
    CallOrigin origin;
    RawCall raw;
    Result<ShmCall> call = ShmCall();
    Denial denial;
    std::int64_t value = 0;
    bool changed = false;
  };
  void tell(const Call& call) {
    const CallRecord record{.origin = call.origin,
                            .registry = registry,
                            .caller = caller,
                            .raw = call.raw,
                            .call = call.call,
                            .value = call.value,
                            .denial = call.denial,
                            .changed = call.changed};
    tally_.note_maker(record, kSession);
    tally_.count(record, kSession);
  }

  static constexpr std::uint32_t kSession = 7;
  CallTally tally_;
};

TEST_F(CallTallyTest, CountsCallsErrorsAndRefusals) {
  EXPECT_FALSE(tally_.counting());
  tally_.begin();
  EXPECT_TRUE(tally_.counting());
  Call call;
  tell(call);
  call.value = -EINVAL;
  call.denial = {Denial::Reason::kShmmax, 1, 2, 0};
  tell(call);
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).calls, 2U);
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).errors, 1U);
  EXPECT_EQ(tally_.of(ShmOperation::kShmat).calls, 0U);
  EXPECT_EQ(tally_.refusals(Denial::Reason::kShmmax), 1U);
  EXPECT_EQ(tally_.refusals(Denial::Reason::kMode), 0U);
  EXPECT_FALSE(tally_.slowest());
}

TEST_F(CallTallyTest, CountsForEachRegistry) {
  EXPECT_EQ(tally_.counts({kSession, 0}), nullptr);
  Call call;
  call.origin.began = std::chrono::steady_clock::now() - std::chrono::milliseconds(30);
  tell(call);
  call.origin.ipc_namespace = 99;
  call.value = -EACCES;
  call.denial = {Denial::Reason::kMode, 1, 2, 0};
  call.origin.began = std::nullopt;
  tell(call);
  tell(call);
  const auto first = tally_.counts({kSession, 0});
  const auto other = tally_.counts({kSession, 99});
  ASSERT_NE(first, nullptr);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(first->of(ShmOperation::kShmget).calls, 1U);
  EXPECT_EQ(first->of(ShmOperation::kShmget).errors, 0U);
  EXPECT_EQ(other->of(ShmOperation::kShmget).errors, 2U);
  EXPECT_EQ(other->refusals(Denial::Reason::kMode), 2U);
  const auto durations = first->durations(ShmOperation::kShmget);
  EXPECT_GE(durations.sum, std::chrono::milliseconds(30));
  std::uint64_t slow = 0;
  for (std::size_t place = 0; place < durations.counts.size(); ++place) {
    const bool exceeds = place == CallCounts::kBounds.size() ||
                         CallCounts::kBounds.at(place) >= std::chrono::milliseconds(30);
    if (exceeds) slow += durations.counts.at(place);
  }
  EXPECT_EQ(slow, 1U);
  EXPECT_EQ(other->durations(ShmOperation::kShmget).sum.count(), 0);
}

TEST_F(CallTallyTest, ForgetsWhatHasEnded) {
  Call call;
  tell(call);
  call.origin.ipc_namespace = 99;
  tell(call);
  call.changed = true;
  call.value = 3;
  tell(call);
  tally_.forget({kSession, 99});
  EXPECT_EQ(tally_.counts({kSession, 99}), nullptr);
  EXPECT_FALSE(tally_.maker(kSession, 99, 3));
  // This thread counted there last. A namespace may come again with the same inode.
  tell(call);
  ASSERT_NE(tally_.counts({kSession, 99}), nullptr);
  EXPECT_EQ(tally_.counts({kSession, 99})->of(ShmOperation::kShmget).calls, 1U);
  EXPECT_EQ(tally_.places().size(), 2U);
  tally_.forget_session(kSession);
  EXPECT_TRUE(tally_.places().empty());
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).calls, 4U);
}

TEST_F(CallTallyTest, RemembersABoundedNumberOfRegistries) {
  Call call;
  for (std::uint64_t number = 0; number < CallTally::kMostRegistries + 5; ++number) {
    call.origin.ipc_namespace = number;
    tell(call);
  }
  EXPECT_EQ(tally_.places().size(), CallTally::kMostRegistries);
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).calls, CallTally::kMostRegistries + 5);
}

TEST_F(CallTallyTest, KnowsTheSlowest) {
  Call call;
  call.origin.pid = 5;
  call.origin.began = std::chrono::steady_clock::now() - std::chrono::seconds(2);
  tell(call);
  call.origin.pid = 6;
  call.origin.began = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  tell(call);
  ASSERT_TRUE(tally_.slowest());
  EXPECT_EQ(tally_.slowest()->pid, 5);
  EXPECT_GE(tally_.slowest()->took, std::chrono::seconds(2));
}

TEST_F(CallTallyTest, KnowsWhoMadeASegment) {
  Call call;
  call.origin.pid = call.origin.tid = ::getpid();
  call.value = 3;
  tell(call);  // found, not made
  EXPECT_FALSE(tally_.maker(7, 0, 3));
  call.changed = true;
  tell(call);
  ASSERT_TRUE(tally_.maker(7, 0, 3));
  EXPECT_EQ(tally_.maker(7, 0, 3)->pid, ::getpid());
  EXPECT_NE(tally_.maker(7, 0, 3)->command, "");
  EXPECT_FALSE(tally_.maker(8, 0, 3));
  EXPECT_FALSE(tally_.maker(7, 1, 3));
}

TEST_F(CallTallyTest, PeaksCountWhatCameOtherwise) {
  EXPECT_EQ(tally_.peak(kSession, 0).segments, 0U);
  const auto made = get(IPC_PRIVATE, 5000, 0600);
  ASSERT_GE(made, 0);
  tally_.note_peak({kSession, 0}, registry);
  EXPECT_EQ(ctl(static_cast<int>(made), IPC_RMID), 0);
  tally_.note_peak({kSession, 0}, registry);
  EXPECT_EQ(tally_.peak(kSession, 0).segments, 1U);
  EXPECT_EQ(tally_.peak(kSession, 0).pages, 2U);
}

TEST_F(CallTallyTest, KnowsWhichSegmentsNobodyRemoved) {
  Call call;
  call.origin.pid = call.origin.tid = ::getpid();
  call.changed = true;
  const int kept = segment();
  const int attached = segment();
  const int removed = segment();
  const int by_operator = segment();
  attach(attached);
  for (const int shmid : {kept, attached, removed, by_operator}) {
    call.value = shmid;
    tell(call);
  }
  Call removal;
  removal.call->operation = ShmOperation::kShmctl;
  removal.call->command = IPC_RMID;
  removal.call->shmid = removed;
  removal.value = -EPERM;
  tell(removal);
  EXPECT_EQ(tally_.not_removed({kSession, 0}).size(), 4U);
  removal.value = 0;
  for (const int shmid : {attached, removed}) {
    ASSERT_EQ(ctl(shmid, IPC_RMID), 0);
    removal.call->shmid = shmid;
    tell(removal);
  }
  tally_.note_removed({kSession, 0}, by_operator, false);
  tally_.note_removed({kSession, 0}, 77, true);
  const auto left = tally_.not_removed({kSession, 0});
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left.begin()->first, kept);
  EXPECT_EQ(left.begin()->second.pid, ::getpid());
  EXPECT_TRUE(tally_.maker(kSession, 0, attached)) << "it is there, and mapped";
  EXPECT_FALSE(tally_.maker(kSession, 0, removed)) << "nobody asks for what is gone";
  EXPECT_TRUE(tally_.not_removed({kSession, 1}).empty());
}

TEST_F(CallTallyTest, ManyThreadsCountAtOnce) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this] {
      Call call;
      call.origin.began = std::chrono::steady_clock::now();
      for (int i = 0; i < 10'000; ++i) tell(call);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).calls, 40'000U);
  EXPECT_EQ(tally_.counts({kSession, 0})->of(ShmOperation::kShmget).calls, 40'000U);
}

}  // namespace
}  // namespace shmvisor
