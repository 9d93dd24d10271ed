// HeldChildTest: the fixture of tests that hold a child in a ptrace-stop. The child waits in a call
// that its parent is notified of.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "emulation/abi/abi.h"
#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/stopped_thread.h"
#include "tests/supervised_child.h"

namespace shmvisor {

class HeldChildTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kPage = kPageBytes;

  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
  }

  static Result<AttachedThread> asked_to_stop(pid_t tid) {
    auto attached = AttachedThread::attach(tid);
    if (!attached) return attached;
    if (const auto asked = attached->interrupt(); !asked) return asked.error();
    return attached;
  }
  /// Takes the child out of its call and holds it.
  static Result<StoppedThread> hold(SupervisedChild& child) {
    const seccomp_notif notif = child.receive();
    auto attached = asked_to_stop(static_cast<pid_t>(notif.pid));
    if (!attached) return attached.error();
    if (const auto sent = child.listener().respond(notif.id, 0); !sent) return sent.error();
    return std::move(*attached).wait_until_stopped();
  }
  static std::array<std::uint64_t, 6> anonymous_page() {
    return {0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0};
  }
  /// Where the held child would enter the kernel again.
  static std::uint64_t entry_of(pid_t pid) {
    user_regs_struct registers{};
    EXPECT_EQ(::ptrace(PTRACE_GETREGS, pid, 0, &registers), 0);
    return registers.rip - 2;
  }
  /// Puts bytes where the child would enter the kernel again; answers what was there.
  static std::array<std::uint8_t, 2> replace_code(pid_t pid, std::uint64_t address,
                                                  std::array<std::uint8_t, 2> code) {
    std::array<std::uint8_t, 2> before{};
    const std::string path = "/proc/" + std::to_string(pid) + "/mem";
    const UniqueFd memory(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::pread(memory.get(), before.data(), 2, static_cast<off_t>(address)), 2);
    EXPECT_EQ(::pwrite(memory.get(), code.data(), 2, static_cast<off_t>(address)), 2);
    return before;
  }
};

}  // namespace shmvisor
