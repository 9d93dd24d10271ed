// OutgoingFiles: who has taken an answer and calls again waits for the thread that gave it.
#include "supervisor/inject/outgoing_files.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

namespace shmvisor {
namespace {

constexpr std::uint64_t kCaller = 7;
constexpr std::uint64_t kOther = 8;

TEST(OutgoingFilesTest, NobodyWaitsWhereNothingIsOnItsWay) {
  OutgoingFiles::all().wait_for(kCaller);
  const OutgoingFiles::Stay stay(kOther);
  OutgoingFiles::all().wait_for(kCaller);
}

TEST(OutgoingFilesTest, TheCallerWaitsUntilTheFileIsClosed) {
  std::optional<OutgoingFiles::Stay> stay(std::in_place, kCaller);
  const OutgoingFiles::Stay other(kOther);
  std::atomic<bool> begun{false};
  std::atomic<bool> over{false};
  std::thread calls_again([&] {
    begun = true;
    OutgoingFiles::all().wait_for(kCaller);
    over = true;
  });
  while (!begun) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(over);
  stay.reset();
  calls_again.join();
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace shmvisor
