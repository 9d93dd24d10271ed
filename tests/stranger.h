// Files whose last close(2) waits, as a stranger would make them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// A TCP connection with unsent data, whose last close waits for its peer, which reads nothing, as
/// long as this lives. Not where loopback is down: made().
class LingeringSocket {
 public:
  LingeringSocket() {
    const UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(listening.get(), any, size) != 0 || ::listen(listening.get(), 1) != 0 ||
        ::getsockname(listening.get(), any, &size) != 0 ||
        ::connect(socket.get(), any, size) != 0) {
      return;
    }
    peer_.reset(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const linger slowly{1, 60};
    EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &slowly, sizeof(slowly)), 0);
    const std::array<char, 65536> much{};
    while (::send(socket.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
    }
    socket_ = std::move(socket);
  }

  [[nodiscard]] bool made() const { return socket_.valid(); }
  /// Once.
  [[nodiscard]] UniqueFd take() { return std::move(socket_); }

 private:
  UniqueFd peer_;
  UniqueFd socket_;
};

/// A file in an epoll(7) of a process whose epoll_wait(2) writes to memory that does not come.
/// Nothing ends a close of it before this object.
class FileInStuckEpoll {
 public:
  FileInStuckEpoll() : file_(::eventfd(0, EFD_CLOEXEC)) {
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    const UniqueFd ready(::eventfd(1, EFD_CLOEXEC));
    faults_.reset(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
    uffdio_api wanted{};
    wanted.api = UFFD_API;
    if (::ioctl(faults_.get(), UFFDIO_API, &wanted) != 0) return;  // it is not allowed
    epoll_event event{};
    event.events = EPOLLIN;
    EXPECT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ready.get(), &event), 0);
    EXPECT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, file_.get(), &event), 0);
    int pair[2];
    EXPECT_EQ(::pipe2(pair, O_CLOEXEC), 0);
    UniqueFd begun(pair[0]);
    UniqueFd begins(pair[1]);
    waiter_ = ::fork();
    if (waiter_ == 0) wait_at(epoll.get(), begins.get());
    begins.reset();
    char byte = 0;
    made_ = ::read(begun.get(), &byte, 1) == 1;
    bool waits = false;
    for (int looks = 0; made_ && !waits && looks < 10'000; ++looks) {
      ::usleep(1000);
      waits = waits_in_epoll(waiter_);
    }
    EXPECT_EQ(waits, made_) << "nothing is stuck";
  }
  FileInStuckEpoll(const FileInStuckEpoll&) = delete;
  FileInStuckEpoll& operator=(const FileInStuckEpoll&) = delete;
  ~FileInStuckEpoll() { end(); }
  /// Those who wait for it go on.
  void end() {
    if (waiter_ <= 0) return;
    ::kill(waiter_, SIGKILL);
    ::waitpid(std::exchange(waiter_, -1), nullptr, 0);
  }

  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] UniqueFd take() { return std::move(file_); }

 private:
  static bool waits_in_epoll(pid_t pid) {
    long number = -1;
    std::ifstream("/proc/" + std::to_string(pid) + "/syscall") >> number;
#ifdef SYS_epoll_wait
    if (number == SYS_epoll_wait) return true;
#endif
    return number == SYS_epoll_pwait;
  }
  /// Without a copy of the file.
  [[noreturn]] void wait_at(int epoll, int begins) {
    file_.reset();
    const UniqueFd faults(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
    uffdio_api wanted{};
    wanted.api = UFFD_API;
    constexpr std::size_t kPage = 4096;
    void* const page =
        ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_register all{};
    all.range = {reinterpret_cast<std::uintptr_t>(page), kPage};
    all.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (::ioctl(faults.get(), UFFDIO_API, &wanted) != 0 ||
        ::ioctl(faults.get(), UFFDIO_REGISTER, &all) != 0) {
      ::_exit(1);
    }
    (void)!::write(begins, "", 1);
    (void)::epoll_wait(epoll, static_cast<epoll_event*>(page), 1, -1);
    ::_exit(0);
  }

  UniqueFd file_;
  UniqueFd faults_;
  pid_t waiter_ = -1;
  bool made_ = false;
};

}  // namespace shmvisor
