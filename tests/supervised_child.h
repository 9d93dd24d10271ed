// SupervisedChild: a forked child under the real filter, whose notified calls the test receives.
//
// Children come from supervisor/check/child.h: killed and reaped by their destructor at the latest.
// SharedPage is what a child tells its parent through, beside its exit status.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>

#include "policy/filter/filter_program.h"
#include "supervisor/check/child.h"
#include "supervisor/kernel/seccomp_install.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

/// A Value that parent and children see alike.
template <typename Value>
class SharedPage {
 public:
  SharedPage()
      : value_(new (::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Value()) {}
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  ~SharedPage() { ::munmap(value_, sizeof(Value)); }

  Value* operator->() const { return value_; }
  Value& operator*() const { return *value_; }

 private:
  Value* value_;
};

/// A one-way signal between parent and child, either way round.
class Gate {
 public:
  Gate() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }
  void open() { (void)!::write(write_.get(), "x", 1); }
  /// Lets a program that is executed open it, by writing to `number`.
  void give(int number) { ::dup2(write_.get(), number); }
  /// False where nobody opened it in time.
  bool pass() {
    char byte = 0;
    return wait_readable(read_.get()).ok() && ::read(read_.get(), &byte, 1) == 1;
  }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

/// The child's exit status; -1 and a test failure where it did not exit by itself.
inline int exit_status_of(Child& child) {
  const Result<int> status = child.wait(0);
  EXPECT_TRUE(status) << "errno " << (status ? 0 : status.error().value());
  if (!status) return -1;
  EXPECT_TRUE(WIFEXITED(*status)) << "signal " << WTERMSIG(*status);
  return WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
}

class SupervisedChild {
 public:
  /// `body` runs under the filter once the parent has the listener.
  explicit SupervisedChild(const std::function<int()>& body, InstallFlags flags = {})
      : child_([&] {
          const auto program = build_filter_program();
          if (!program || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 101;
          const auto listener = install_filter(*program, flags);
          if (!listener) return 102;
          shared_->listener = listener->get();
          ready_.open();
          if (!go_.pass()) return 103;
          return body();
        }) {
    if (!child_.started() || !ready_.pass()) return;
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid(), 0)));
    UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), shared_->listener, 0)));
    if (!taken.valid()) {
      refused_ = errno;
      return;
    }
    listener_ = std::make_unique<Listener>(std::move(taken), flags.wait_killable_recv
                                                                 ? WaitKind::kKillable
                                                                 : WaitKind::kInterruptible);
    go_.open();
  }

  /// Why there is no listener; empty where there is one. For GTEST_SKIP or ASSERT.
  [[nodiscard]] std::string trouble() const {
    if (listener_ != nullptr) return "";
    return "no listener: errno " + std::to_string(refused_);
  }
  Listener& listener() { return *listener_; }
  Child& child() { return child_; }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

  /// The next notified call; a test failure and an empty one where none comes.
  seccomp_notif receive() {
    EXPECT_TRUE(wait_readable(listener_->fd())) << "no call comes";
    const auto notif = listener_->receive();
    EXPECT_TRUE(notif) << "errno " << (notif ? 0 : notif.error().value());
    return notif ? *notif : seccomp_notif{};
  }

 private:
  struct Shared {
    int listener = -1;
  };
  SharedPage<Shared> shared_;
  Gate ready_;
  Gate go_;
  Child child_;
  int refused_ = 0;
  std::unique_ptr<Listener> listener_;
};

/// A call as a program makes it, without the C library's errno: the kernel's own result.
inline long raw_call(long number, long first = 0, long second = 0, long third = 0) {
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(first), "S"(second), "d"(third)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace shmvisor
