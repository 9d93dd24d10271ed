// RemoteSpace, on a program for i386: other numbers, other registers, offsets in pages.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "emulation/abi/abi.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/remote_space.h"
#include "supervisor/memory/machine.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/expected_receiver.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = kPageBytes;
constexpr std::uint64_t kPages = 4;

class RemoteSpaceI386Test : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }
  void SetUp() override {
    if (std::string_view(SHMVISOR_I386_PEER).empty()) {
      GTEST_SKIP() << "programs for i386 (-m32) cannot be built or run here";
    }
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = (1 + kPages) * kPage;
    auto memory = machine_.create_memory(request);
    ASSERT_TRUE(memory);
    memory_ = std::move(*memory);
  }

  static int execute() {
    ::execl(SHMVISOR_I386_PEER, "i386_peer", nullptr);
    return 127;
  }
  /// All pages but the first.
  static MapRequest most(const Access& access, const Access& maximum) {
    MapRequest request;
    request.length_bytes = kPages * kPage;
    request.offset_bytes = kPage;
    request.access = access;
    request.maximum = maximum;
    request.below_4gib = true;
    return request;
  }
  /// Answers the program's next call, a shmat, by mapping what is asked for here.
  std::int64_t attach(SupervisedChild& child, const MapRequest& request) {
    PendingCall call(child.listener(), child.receive());
    EXPECT_EQ(call.data().arch, std::uint32_t{AUDIT_ARCH_I386});
    RemoteSpace space(call, expected_, features_, access_warnings_);
    auto file = memory_->open(request.maximum);
    EXPECT_TRUE(file);
    std::optional<ExpectedReceiver> receiver(std::in_place, child.listener(), expected_);
    const auto address = space.map(request, std::move(*file));
    receiver.reset();
    const std::int64_t answer = address ? static_cast<std::int64_t>(address->value())
                                        : std::int64_t{-address.error().value()};
    EXPECT_TRUE(call.answer(answer));
    return answer;
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  MachineResources resources_{features_};
  Machine machine_{resources_, scope_};
  ExpectedCalls expected_{[] {}};
  AccessWarnings access_warnings_;
  std::unique_ptr<BackingMemory> memory_;
};

TEST_F(RemoteSpaceI386Test, AttachesUsesAndDetaches) {
  SupervisedChild child(execute);
  ASSERT_EQ(child.trouble(), "");
  const std::int64_t address = attach(child, most({true, true, false}, kAnyAccess));
  ASSERT_GT(address, 0);
  EXPECT_LT(address, std::int64_t{1} << 32);
  EXPECT_GT(attach(child, most({true, false, false}, kReadExecute)), 0);
  MapRequest taken = most({true, true, false}, kAnyAccess);
  taken.address = static_cast<std::uint64_t>(address);
  taken.placement = Placement::kExact;
  EXPECT_EQ(attach(child, taken), -EINVAL);

  PendingCall call(child.listener(), child.receive());
  RemoteSpace space(call, expected_, features_, access_warnings_);
  const AddressRange range{call.data().args[0], kPages * kPage};
  EXPECT_EQ(range.start, static_cast<std::uint64_t>(address));
  const auto found = space.area_above(range.start);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->range, range);
  EXPECT_EQ((*found)->file_offset_bytes, kPage);
  EXPECT_TRUE(space.unmap(range));
  EXPECT_TRUE(call.answer(0));
  EXPECT_EQ(exit_status_of(child.child()), 0);

  {
    const auto look = memory_->open(kReadExecute);
    ASSERT_TRUE(look);
    for (int page = 0; page < static_cast<int>(kPages); ++page) {
      char first = 0;
      EXPECT_EQ(::pread(look->fd.get(), &first, 1,
                        static_cast<off_t>(1 + page) * static_cast<off_t>(kPage)),
                1);
      EXPECT_EQ(first, 'a' + page);
    }
  }
  EXPECT_FALSE(memory_->in_use());
}

}  // namespace
}  // namespace shmvisor
