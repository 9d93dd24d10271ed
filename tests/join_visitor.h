// What serves those who join, and somebody who visits it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/join/joined_commands.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/socket_address.h"
#include "tests/supervised_child.h"
#include "tests/turn_until.h"

namespace shmvisor {

/// What `run --serve` has.
class Serving {
 public:
  explicit Serving(const std::string& path)
      : joined(loop_, *JoinSocket::listen_at(path),
               Session::of_command(std::make_shared<SessionResources>(features_), Limits())) {}

  /// What waits already is seen to.
  void turn() { EXPECT_TRUE(loop_.turn(EventLoop::Clock::now())); }

  /// False where it does not happen in time.
  template <typename Condition>
  bool turn_until(Condition condition) {
    return shmvisor::turn_until(loop_, condition);
  }

 private:
  EventLoop loop_;
  KernelFeatures features_;

 public:
  JoinedCommands joined;
};

class Visitor {
 public:
  explicit Visitor(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    const auto address = SocketAddress::of(path);
    if (::connect(fd_.get(), address->get(), SocketAddress::size_bytes()) != 0) fd_.reset();
  }

  [[nodiscard]] bool connected() const { return fd_.valid(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Something to receive, or the end.
  [[nodiscard]] bool readable() const {
    pollfd waiting{fd_.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }
  [[nodiscard]] bool greeted() const {
    join::Greeting greeting;
    return receive_message(fd_.get(), greeting) && greeting.words == join::kGreetingWords;
  }
  void ask(const std::vector<int>& fds, const join::Request& request = join::Request()) const {
    EXPECT_TRUE(send_message(fd_.get(), request, fds));
  }
  /// Empty where it is accepted.
  [[nodiscard]] std::string answer() const {
    join::Answer answer;
    if (!receive_message(fd_.get(), answer)) return "no answer";
    return answer.accepted != 0 ? "" : answer.reason.data();
  }
  /// Whether the other end is closed. Whatever was to be received before is dropped.
  [[nodiscard]] bool sent_away() const {
    std::array<char, 1024> bytes;  // NOLINT: filled by recv
    ssize_t got = 0;
    while ((got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
  }
  void leave() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

}  // namespace shmvisor
