// CallPageTest: the fixture of tests of the CallPage, through RemoteSpace, on children that attach
// and detach.
#pragma once

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emulation/abi/abi.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/remote_space.h"
#include "tests/expected_receiver.h"
#include "tests/supervised_child.h"

// <sys/prctl.h> of Debian 12 has them, older ones do not.
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

namespace shmvisor {

/// So many attaches, and who makes them has the page.
inline constexpr int kEnough = CallPage::kMissesBefore + 1;

struct Seen {
  int descriptors = 0;
  int faults_handled = 0;
  char selector = 0;
};

inline int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

inline char* pointer(std::uint64_t address) { return reinterpret_cast<char*>(address); }

/// shmat and shmdt as raw calls, whose answers are addresses and errnos of the test's choice.
inline long attach() { return raw_call(SYS_shmat, 1, 2, 3); }
inline long detach(long address) { return raw_call(SYS_shmdt, address); }
inline bool attached(long address) { return address > 0 && pointer(address)[0] == 'm'; }

/// A filter of the program's own: what it says of one call.
inline bool answer_calls(std::uint32_t number, std::uint32_t action) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {4, code};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

class CallPageTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kPage = kPageBytes;

  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }

  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer's shadow lies where the page goes";
#endif
    page_ = CallPage::create(features_);
    if (page_ == nullptr) GTEST_SKIP() << "this machine has no executable memfds";
    memory_.reset(::memfd_create("memory", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory_.get(), kPage), 0);
    ASSERT_EQ(::pwrite(memory_.get(), "m", 1, 0), 1);
  }

  std::uint64_t page_address() { return page_->mapping(0)[0]; }
  [[nodiscard]] bool has_page(pid_t pid) {
    auto map = MemoryMap::open(pid, features_);
    const auto area = map->area_above(page_address(), Areas::kAll);
    return area && *area && (*area)->range == AddressRange{page_address(), kPage};
  }

  static std::int64_t as_result(const Result<std::optional<std::uint64_t>>& address) {
    return address ? static_cast<std::int64_t>(address->value_or(0)) : -address.error().value();
  }

  /// Answers the child's calls until it ends: shmat by mapping a page as `request` says, shmdt by
  /// unmapping the page at its argument, and anything else of ours by 0.
  int serve(const std::function<int()>& body, const MapRequest& request) {
    SupervisedChild child(body);
    EXPECT_EQ(child.trouble(), "");
    if (!child.trouble().empty()) return -1;
    while (wait_readable(child.listener().fd())) {
      const auto notif = child.listener().receive();
      if (!notif) break;
      PendingCall call(child.listener(), *notif);
      const auto message = page_->message(notif->data);
      if (message == CallPage::Message::kFetch) {
        if (before_fetch_) before_fetch_();
        loans_.answer(call, kUnique);
        ++fetched_;
        continue;
      }
      const bool fails = message == CallPage::Message::kFailed;
      const bool completes = caller_may_complete_ && !fails;
      RemoteSpace space(call, expected_, features_, access_warnings_,
                        message == CallPage::Message::kMaskRefused
                            ? CallPageUse()
                            : CallPageUse{page_.get(), &misses_, completes, &loans_, kUnique});
      failed_ += fails ? 1 : 0;
      if (message == CallPage::Message::kMaskRefused) {
        space.restore_signal_mask();
        call.answer(-EINVAL);
        ++masks_refused_;
        continue;
      }
      const std::uint64_t address = notif->data.args[0];
      if (notif->data.nr == SYS_shmat) {
        UniqueFd fd(
            ::open(("/proc/self/fd/" + std::to_string(memory_.get())).c_str(), O_RDWR | O_CLOEXEC));
        MapRequest asked = request;
        asked.caller_may_complete = true;
        // A child without the page, or that cannot complete it after all, makes its call once more.
        std::optional<ExpectedReceiver> receiver;
        if (caller_may_complete_ || misses_ != CallPageUse::kUsed) {
          receiver.emplace(child.listener(), expected_);
        }
        const auto mapped = space.map(asked, BackingFile{std::move(fd)});
        receiver.reset();
        completed_ += mapped && !*mapped ? 1 : 0;
        call.answer(as_result(mapped));
      } else if (notif->data.nr == SYS_shmdt) {
        const auto unmapped = space.unmap({address, kPage}, true);
        completed_ += unmapped && *unmapped == MappingSpace::Outcome::kCompletedByCaller ? 1 : 0;
        call.answer(unmapped ? 0 : -unmapped.error().value());
      } else {
        call.answer(0);
      }
      has_page_ = has_page_ || has_page(child.pid());
      misses_seen_.push_back(misses_.load());
    }
    return exit_status_of(child.child());
  }
  int serve(const std::function<int()>& body) {
    return serve(body, {0, kPage, Placement::kAnywhere, {true, true, false}});
  }

  KernelFeatures features_;
  std::unique_ptr<CallPage> page_;
  UniqueFd memory_;
  static constexpr std::uint64_t kUnique = 1;
  ExpectedCalls expected_{[] {}};
  Loans loans_;
  AccessWarnings access_warnings_;
  std::atomic<int> misses_{0};
  std::vector<int> misses_seen_;
  bool has_page_ = false;
  bool caller_may_complete_ = false;
  int completed_ = 0;  ///< calls that the child completed
  int failed_ = 0;
  int fetched_ = 0;
  std::function<void()> before_fetch_;
  int masks_refused_ = 0;
  SharedPage<Seen> seen_;
};

}  // namespace shmvisor
