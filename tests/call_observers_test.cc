// All observers of calls, where memory runs out: they throw nothing, and what is lost is counted.
#include "supervisor/serve/call_observers.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "tests/failing_memory.h"
#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

constexpr int kMostAllocations = 1000;
constexpr std::uint32_t kSession = 7;

class CallObserversTest : public ShmTest {
 protected:
  CallObserversTest() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>()));
    spdlog::set_level(spdlog::level::debug);
    ring_.open([] {});
    tally_.begin();
  }
  ~CallObserversTest() override { spdlog::set_default_logger(before_); }

  struct Call {
    std::int64_t value = 0;
    Denial denial = {};
    bool changed = false;
  };
  /// Has ever more allocations fail until none does; how many calls the observers saw.
  template <typename Tell>
  static int with_ever_more_memory(Tell tell) {
    for (int allocations = 0; allocations < kMostAllocations; ++allocations) {
      {
        const FailingMemory scarce(allocations);
        tell(allocations);
      }
      if (!FailingMemory::failed()) return allocations + 1;
    }
    ADD_FAILURE() << "it never succeeds";
    return kMostAllocations;
  }
  void tell(const Call& call) {
    const CallRecord record{.origin = origin_,
                            .registry = registry,
                            .caller = caller,
                            .raw = raw_,
                            .call = decoded_,
                            .value = call.value,
                            .denial = call.denial,
                            .changed = call.changed};
    observers_.decided(record);
    observers_.answered(record, true);
  }
  int events() {
    std::array<CallEvent, 8> some;
    int count = 0;
    while (const std::size_t taken = ring_.take(some)) count += static_cast<int>(taken);
    return count;
  }

  const std::shared_ptr<spdlog::logger> before_;
  CallRing ring_;
  CallTally tally_;
  CallObservers observers_{&ring_, &tally_, kSession};
  const CallOrigin origin_{.pid = ::getpid(), .tid = gettid()};
  const RawCall raw_ = get_call(1, kPage, IPC_CREAT | 0600);
  const Result<ShmCall> decoded_ = decode(raw_);
};

TEST_F(CallObserversTest, AMadeSegmentIsNotedOrItsLossIsCounted) {
  const int made = with_ever_more_memory([&](int id) { tell({.value = id, .changed = true}); });
  EXPECT_GT(made, 1);
  int noted = 0;
  for (int id = 0; id < made; ++id) noted += tally_.maker(kSession, 0, id) ? 1 : 0;
  EXPECT_GT(noted, 0);
  EXPECT_EQ(tally_.unnoted(), static_cast<std::uint64_t>(made - noted));
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).calls, static_cast<std::uint64_t>(made));
  EXPECT_EQ(events(), made);
}

TEST_F(CallObserversTest, ADeniedCallIsCountedWithoutMemory) {
  const Denial denial{Denial::Reason::kShmmax, 4096, 8192, 0};
  const int denied =
      with_ever_more_memory([&](int) { tell({.value = -EINVAL, .denial = denial}); });
  EXPECT_GT(denied, 1);
  EXPECT_EQ(tally_.refusals(Denial::Reason::kShmmax), static_cast<std::uint64_t>(denied));
  EXPECT_EQ(events(), denied);
  EXPECT_EQ(tally_.unnoted(), 0U);
}

TEST_F(CallObserversTest, ACallThatIsRefusedEarlyReachesAllOfThem) {
  const Denial denial{Denial::Reason::kCallsOfUser, 5, 0, 5};
  const int refused = with_ever_more_memory([&](int) {
    observers_.refused(
        {.origin = origin_, .raw = raw_, .call = decoded_, .value = -ENOMEM, .denial = denial});
  });
  EXPECT_EQ(tally_.refusals(Denial::Reason::kCallsOfUser), static_cast<std::uint64_t>(refused));
  EXPECT_EQ(tally_.of(ShmOperation::kShmget).errors, static_cast<std::uint64_t>(refused));
  CallEvent event;
  ASSERT_EQ(ring_.take({&event, 1}), 1U);
  EXPECT_EQ(event.value, -ENOMEM);
  EXPECT_EQ(event.denial, denial);
  EXPECT_EQ(event.session, kSession);
  EXPECT_EQ(event.tid, gettid());
  EXPECT_EQ(events(), refused - 1);
}

}  // namespace
}  // namespace shmvisor
