// RemoteSpaceTest: the fixture of tests of RemoteSpace, on children that wait in a call.
#pragma once

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "emulation/abi/abi.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/remote_space.h"
#include "supervisor/memory/machine.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/area_limits.h"
#include "tests/expected_receiver.h"
#include "tests/supervised_child.h"

namespace shmvisor {

/// What a child found, for its parent to judge.
struct Seen {
  long result = 0;
  long second_result = 0;
  int descriptors_before = 0;
  int descriptors_after = 0;
  char byte = 0;
  std::array<AreaLimits, 3> limits;
  std::array<int, 3> resident{};
};

inline int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

inline char* pointer(long address) { return reinterpret_cast<char*>(address); }

class RemoteSpaceTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kPage = kPageBytes;
  static constexpr Access kReadWrite{true, true, false};
  static constexpr Access kReadOnly{true, false, false};

  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }

  RemoteSpaceTest() : resources_(features_), machine_(resources_, scope_) {}

  std::unique_ptr<BackingMemory> make(std::uint64_t pages) {
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = pages * kPage;
    auto memory = machine_.create_memory(request);
    EXPECT_TRUE(memory);
    return std::move(*memory);
  }
  static MapRequest whole(const BackingMemory& memory, Access access = kReadWrite) {
    return {0, memory.mapped_size_bytes(), Placement::kAnywhere, access};
  }
  static BackingFile open(BackingMemory& memory, const Access& maximum = kAnyAccess) {
    auto file = memory.open(maximum);
    EXPECT_TRUE(file);
    return std::move(*file);
  }
  static std::int64_t as_result(const Result<std::optional<std::uint64_t>>& address) {
    return address ? static_cast<std::int64_t>(address->value()) : -address.error().value();
  }

  /// Serves the child's next call: what `act` answers is what the child gets.
  template <typename Act>
  bool serve(SupervisedChild& child, Act act) {
    PendingCall call(child.listener(), child.receive());
    RemoteSpace space(call, expected_, features_, access_warnings_);
    std::optional<ExpectedReceiver> receiver(std::in_place, child.listener(), expected_);
    const std::int64_t answer = act(space);
    receiver.reset();
    return call.answer(answer);
  }
  /// Maps `memory` as `request` says and answers like shmat.
  void serve_map(SupervisedChild& child, BackingMemory& memory, const MapRequest& request,
                 const Access& maximum = kAnyAccess) {
    MapRequest limited = request;
    limited.maximum = maximum;
    EXPECT_TRUE(serve(child, [&](RemoteSpace& space) {
      return as_result(space.map(limited, open(memory, maximum)));
    }));
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  MachineResources resources_;
  Machine machine_;
  ExpectedCalls expected_{[] {}};
  AccessWarnings access_warnings_;
  SharedPage<Seen> seen_;
};

}  // namespace shmvisor
