// ProcessSpace and RemoteSpace on an i386 program, whatever it is doing.
#include <fcntl.h>
#include <linux/audit.h>
#include <spdlog/spdlog.h>

#include <csignal>

#include "emulation/shm/segment.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/process_space.h"
#include "supervisor/inject/remote_space.h"
#include "supervisor/memory/machine.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/expected_receiver.h"
#include "tests/marked_segment.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPages = 4;

/// How the program passes its time, and the state that shows it.
struct Pastime {
  const char* name;
  char state;
};
constexpr std::array kPastimes = {Pastime{"Reading", 'S'},   Pastime{"Polling", 'S'},
                                  Pastime{"Selecting", 'S'}, Pastime{"Sleeping", 'S'},
                                  Pastime{"Suspended", 'S'}, Pastime{"Spinning", 'R'}};

class ProcessI386Test : public ::testing::TestWithParam<Pastime> {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }
  void SetUp() override {
    if (std::string_view(SHMVISOR_I386_PEER).empty()) {
      GTEST_SKIP() << "programs for i386 (-m32) cannot be built and run here";
    }
    old_ = marked_segment(machine_, kPages, 'o');
    fresh_ = marked_segment(machine_, kPages, 'n');
    ASSERT_EQ(::pipe2(pipe_, O_CLOEXEC), 0);
  }
  ~ProcessI386Test() override {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }

  int execute(const char* what_it_sees) {
    ::dup2(pipe_[0], STDIN_FILENO);
    ::execl(SHMVISOR_I386_PEER, "i386_peer", GetParam().name, what_it_sees, nullptr);
    return 127;
  }
  /// Answers the program's next shmat.
  void attach(SupervisedChild& child, const Access& access, const Access& maximum) {
    const seccomp_notif notif = child.receive();
    EXPECT_EQ(notif.data.arch, AUDIT_ARCH_I386);
    PendingCall call(child.listener(), notif);
    RemoteSpace space(call, expected_, features_, access_warnings_);
    MapRequest request;
    request.length_bytes = kPages * kPage;
    request.access = access;
    request.maximum = maximum;
    request.below_4gib = true;
    auto file = old_->memory().open(maximum);
    ASSERT_TRUE(file);
    const auto address = space.map(request, std::move(*file));
    ASSERT_TRUE(address) << "errno " << address.error().value();
    EXPECT_LT(address->value(), std::uint64_t{1} << 32);
    EXPECT_TRUE(call.answer(static_cast<std::int64_t>(address->value())));
  }
  void let_it_attach(SupervisedChild& child) {
    attach(child, {true, true, false}, kAnyAccess);
    attach(child, {true, false, false}, kReadExecute);
    // It divides its first attach in three: then it is on its way.
    const FileIdentity file = old_->identity().file;
    constexpr std::uint64_t kPieces = 5;
    for (int looks = 0; looks < 5000; ++looks) {
      const auto stat = ProcessStat::read(child.pid());
      if (stat && stat->state == GetParam().state &&
          machine_.count_mappings({&file, 1})->of_files.front() == kPieces) {
        return;
      }
      ::usleep(1000);
    }
    ADD_FAILURE() << "it does not get there";
  }
  void invalidate(SupervisedChild& child, Mappable* replacement) {
    const ExpectedReceiver receiver(child.listener(), expected_);
    const auto changed = invalidate_in_process(
        child.pid(), {old_->identity().file, {0, kPages * kPage}, replacement},
        {child.listener(), expected_, features_});
    ASSERT_TRUE(changed) << "errno " << changed.error().value();
    EXPECT_EQ(*changed, 5U);
    EXPECT_FALSE(old_->memory().in_use());
  }
  int let_it_look(SupervisedChild& child) {
    if (std::string_view(GetParam().name) == "Suspended") ::kill(child.pid(), SIGUSR1);
    EXPECT_EQ(::write(pipe_[1], "x", 1), 1);
    return exit_status_of(child.child());
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  MachineResources resources_{features_};
  Machine machine_{resources_, scope_};
  ExpectedCalls expected_{[] {}};
  AccessWarnings access_warnings_;
  std::shared_ptr<Segment> old_;
  std::shared_ptr<Segment> fresh_;
  int pipe_[2] = {-1, -1};
};

TEST_P(ProcessI386Test, ItsMappingsGo) {
  SupervisedChild child([&] { return execute("gone"); });
  ASSERT_EQ(child.trouble(), "");
  let_it_attach(child);
  invalidate(child, nullptr);
  EXPECT_EQ(let_it_look(child), 0);
}

TEST_P(ProcessI386Test, ItSeesTheReplacement) {
  SupervisedChild child([&] { return execute("replaced"); });
  ASSERT_EQ(child.trouble(), "");
  let_it_attach(child);
  invalidate(child, fresh_.get());
  EXPECT_TRUE(fresh_->memory().in_use());
  EXPECT_EQ(let_it_look(child), 0);
  std::byte first{};
  EXPECT_TRUE(fresh_->memory().read_at(0, std::span(&first, 1)));
  EXPECT_EQ(static_cast<char>(first), 'w');
  EXPECT_FALSE(fresh_->memory().in_use()) << "no descriptor stayed";
}

INSTANTIATE_TEST_SUITE_P(Doing, ProcessI386Test, ::testing::ValuesIn(kPastimes),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace shmvisor
