// The fixture of tests of ControlServer: one that serves a session, and its clients.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/control/control_server.h"
#include "supervisor/control/protocol.h"
#include "supervisor/kernel/socket_address.h"
#include "tests/scratch_folder.h"
#include "tests/turn_until.h"

namespace shmvisor {

class ControlServerTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kShort{200};

  void SetUp() override { open(ControlServer::kPatience); }
  void TearDown() override {
    if (server_) {
      EXPECT_TRUE(server_->drain(std::chrono::seconds(10)));
    }
  }

  void open(std::chrono::milliseconds patience) {
    server_.reset();
    auto socket = ControlSocket::listen_at(path_);
    ASSERT_TRUE(socket);
    server_.emplace(
        loop_, *resources_, ControlServer::Identity{"run", "test"},
        [this] {
          return std::vector<NamedSession>{{kMainRegistry, session_}};
        },
        patience);
    ASSERT_TRUE(server_->valid());
    server_->listen(std::move(*socket));
  }

  /// False where it does not happen in time.
  template <typename Condition>
  bool turn_until(Condition condition) {
    return shmvisor::turn_until(loop_, condition);
  }

  [[nodiscard]] UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto address = SocketAddress::of(path_);
    EXPECT_EQ(::connect(fd.get(), address->get(), SocketAddress::size_bytes()), 0);
    return fd;
  }
  static bool send(const UniqueFd& client, const std::string& text) {
    return ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }
  /// What comes until the server closes the connection, or until so many lines have come.
  std::string receive(const UniqueFd& client, std::ptrdiff_t lines = 1'000'000) {
    std::string got;
    EXPECT_TRUE(turn_until([&] {
      std::vector<char> buffer(65536);
      const ssize_t bytes = ::recv(client.get(), buffer.data(), buffer.size(), 0);
      if (bytes > 0) got.append(buffer.data(), static_cast<std::size_t>(bytes));
      const bool closed = bytes == 0 || (bytes < 0 && errno != EAGAIN);
      return closed || std::ranges::count(got, '\n') >= lines;
    }));
    return got;
  }
  static control::Json last_line(std::string text) {
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return control::Json::parse(text.substr(text.rfind('\n') + 1), nullptr, false);
  }
  /// The answer to one line.
  control::Json ask(const std::string& line) {
    const UniqueFd client = connect();
    EXPECT_TRUE(send(client, line + "\n"));
    return last_line(receive(client, 2));
  }
  void expect_served() {
    EXPECT_EQ(ask(R"({"request":"registries"})")["registries"][0]["name"], "main");
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("socket");
  EventLoop loop_;
  KernelFeatures features_;
  const std::shared_ptr<SessionResources> resources_ =
      std::make_shared<SessionResources>(features_);
  const std::shared_ptr<Session> session_ = Session::of_command(resources_, Limits{.shmmni = 7});
  std::optional<ControlServer> server_;
};

}  // namespace shmvisor
