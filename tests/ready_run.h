// A run whose answers are there before they are asked for, for tests of clients.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/client/run_connection.h"

namespace shmvisor {

/// "the run one (pid 5)".
class ReadyRun {
 public:
  explicit ReadyRun(const std::string& answers, const std::string& more_of_hello = "") {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    theirs_.reset(ends[0]);
    ours_.reset(ends[1]);
    say(R"({"hello":{"protocol":1,"version":"9","kind":"run","name":"one","pid":5)" +
        more_of_hello + "}}\n" + answers);
  }

  void say(const std::string& text) const {
    EXPECT_EQ(::send(theirs_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  client::RunConnection connect() {
    return std::move(*client::RunConnection::over(std::move(ours_)));
  }
  /// Once: what the client has asked.
  std::string asked() const {
    std::array<char, 1 << 16> text{};
    const ssize_t got = ::recv(theirs_.get(), text.data(), text.size(), MSG_DONTWAIT);
    return {text.data(), got < 0 ? 0 : static_cast<std::size_t>(got)};
  }
  const UniqueFd& socket() const { return theirs_; }

 private:
  UniqueFd theirs_;
  UniqueFd ours_;
};

}  // namespace shmvisor
