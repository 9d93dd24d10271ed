// Containers, where memory runs out while one of them is taken in.
#include "supervisor/agent/containers.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "tests/failing_memory.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr int kMostAllocations = 2000;

class ContainersTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  /// Whether the process is served; nothing where memory ran out.
  std::optional<bool> serve(SupervisedChild& child, int allocations) {
    ContainerProcess process;
    process.container_id = "a container whose name is no short string";
    process.pid = child.pid();
    process.metadata = "group=a-group-whose-name-is-no-short-string";
    StrangersFile listener =
        StrangersFile::of(UniqueFd(::fcntl(child.listener().fd(), F_DUPFD_CLOEXEC, 0)));
    const FailingMemory scarce(allocations);
    try {
      return !containers_.serve(process, listener).has_value();
    } catch (const std::bad_alloc&) {
      return std::nullopt;
    }
  }
  void turn_until_none_is_left() {
    const auto end = EventLoop::Clock::now() + std::chrono::seconds(20);
    while (containers_.count() != 0 && EventLoop::Clock::now() < end) {
      if (!loop_.turn(EventLoop::Clock::now() + std::chrono::milliseconds(20))) return;
    }
  }

  KernelFeatures features_;
  EventLoop loop_;
  Containers containers_{loop_, std::make_shared<SessionResources>(features_), Limits()};
};

TEST_F(ContainersTest, OneIsTakenInAsAWholeOrNotAtAll) {
  Gate end;
  SupervisedChild child([&end] { return end.pass() ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  bool served = false;
  int failures = 0;
  for (int allocations = 0; allocations < kMostAllocations && !served; ++allocations) {
    const auto outcome = serve(child, allocations);
    served = outcome.value_or(false);
    if (!served) ++failures;
    ASSERT_EQ(containers_.count(), served ? 1U : 0U) << allocations << " allocations";
  }
  ASSERT_TRUE(served);
  EXPECT_GT(failures, 10);
  // Another listener of the same container's, which lives on whether that is taken in or not.
  for (int allocations = 0; allocations < kMostAllocations; ++allocations) {
    const auto outcome = serve(child, allocations);
    ASSERT_EQ(containers_.count(), 1U) << allocations << " allocations";
    if (outcome.value_or(false)) break;
  }
  end.open();
  EXPECT_EQ(exit_status_of(child.child()), 0);
  // The last filter goes with the last process.
  turn_until_none_is_left();
  EXPECT_EQ(containers_.count(), 0U);
  EXPECT_TRUE(containers_.drain(std::chrono::seconds(5)));
}

}  // namespace
}  // namespace shmvisor
