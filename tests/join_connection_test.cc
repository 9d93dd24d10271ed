// JoinConnection, with children that serve as they should and as they should not.
#include "supervisor/join/join_connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "supervisor/join/join_messages.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/socket_address.h"
#include "tests/scratch_folder.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// Somebody who listens at a path, and does `serve` with each of the first connections.
constexpr std::chrono::milliseconds kTracerWait(1500);

class FakeServer {
 public:
  FakeServer(
      const std::string& path, const std::function<void(int)>& serve,
      const std::function<void()>& before_listening = [] {}, int connections = 1)
      : child_([&] {
          before_listening();  // whose a socket is listen(2) decides
          const auto address = SocketAddress::of(path);
          const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
          if (::bind(socket.get(), address->get(), SocketAddress::size_bytes()) != 0) return 1;
          if (::listen(socket.get(), 1) != 0) return 2;
          ready_.open();
          for (int served = 0; served < connections; ++served) {
            const UniqueFd connection(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
            serve(connection.get());
          }
          return 0;
        }) {
    EXPECT_TRUE(ready_.pass());
  }

 private:
  Gate ready_;
  Child child_;
};

std::string trouble_of(const Result<JoinConnection, JoinConnection::Trouble>& connection) {
  return connection ? "" : connection.error().text;
}

/// Why not, where the server did not accept.
std::optional<std::string> refusal_of(
    const Result<JoinConnection::Accepted, JoinConnection::Trouble>& handed_over) {
  return handed_over ? std::nullopt : std::optional(handed_over.error().text);
}

bool greet(int connection) { return send_message(connection, join::Greeting()).ok(); }

/// The request, and what came with it.
std::size_t receive_request(int connection) {
  join::Request request;
  const auto received = receive_message(connection, request);
  if (!received || request.words != join::kRequestWords) return 0;
  if (request.tracer_wait_ms != kTracerWait.count()) return 0;
  return static_cast<std::size_t>(
      std::count_if(received->begin(), received->end(), [](const auto& fd) { return fd.valid(); }));
}

class JoinConnectionTest : public ::testing::Test {
 protected:
  /// What a server says to a request of ours, after which it closes.
  std::optional<std::string> answer_to_hand_over(const std::function<void(int)>& answer,
                                                 const UniqueFd& files = UniqueFd()) {
    const FakeServer server(path_, [&](int connection) {
      if (greet(connection)) answer(connection);
    });
    auto connection = JoinConnection::to({path_});
    EXPECT_EQ(trouble_of(connection), "");
    if (!trouble_of(connection).empty()) return std::nullopt;
    const UniqueFd listener(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    JoinConnection& joined = *connection;
    auto refusal = refusal_of(joined.hand_over(listener, files, kTracerWait));
    if (!refusal && wait_readable(joined.fd()))
      heard_farewell_ = joined.hear() == JoinConnection::Heard::kFarewell;
    return refusal;
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("socket");
  bool heard_farewell_ = false;
};

TEST_F(JoinConnectionTest, AServerThatAcceptsAndTakesItsLeave) {
  const auto accept = [](std::size_t descriptors) {
    return [descriptors](int connection) {
      join::Answer answer;
      answer.accepted = receive_request(connection) == descriptors ? 1 : 0;
      (void)send_message(connection, answer);
      (void)send_message(connection, join::Farewell());
    };
  };
  EXPECT_EQ(answer_to_hand_over(accept(1)), std::nullopt);
  EXPECT_TRUE(heard_farewell_);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const UniqueFd files(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(answer_to_hand_over(accept(2), files), std::nullopt);
}

TEST_F(JoinConnectionTest, AServerThatEndsWithoutAWord) {
  EXPECT_EQ(answer_to_hand_over([](int connection) {
              receive_request(connection);
              join::Answer answer;
              answer.accepted = 1;
              (void)send_message(connection, answer);
            }),
            std::nullopt);
  EXPECT_FALSE(heard_farewell_);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const auto refusal = answer_to_hand_over([](int connection) { receive_request(connection); });
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->find("ended, or does not answer"), std::string::npos);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  EXPECT_TRUE(answer_to_hand_over([](int) {})) << "it had gone before it was asked";
}

TEST_F(JoinConnectionTest, OneWhoWasSentAwayComesAgain) {
  const UniqueFd listener(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int connections = 0;  // in the server
  const FakeServer server(
      path_,
      [&connections](int connection) {
        ++connections;
        if (!greet(connection) || connections == 1) return;
        join::Answer answer;
        answer.accepted = receive_request(connection) == 1 ? 1 : 0;
        if (connections == 3) (void)send_message(connection, answer);
      },
      [] {}, 3);
  auto connection = JoinConnection::to({path_});
  ASSERT_EQ(trouble_of(connection), "");
  JoinConnection& joined = *connection;
  EXPECT_EQ(refusal_of(joined.hand_over(listener, UniqueFd(), kTracerWait)), std::nullopt);
}

TEST_F(JoinConnectionTest, OneWhoIsSentAwayAlwaysGivesUp) {
  const UniqueFd listener(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const FakeServer server(
      path_, [](int connection) { greet(connection); }, [] {}, 100);
  auto connection = JoinConnection::to({path_});
  ASSERT_EQ(trouble_of(connection), "");
  JoinConnection& joined = *connection;
  const auto refusal = refusal_of(joined.hand_over(listener, UniqueFd(), kTracerWait));
  ASSERT_TRUE(refusal);
  EXPECT_TRUE(refusal->ends_with("ended, or does not answer")) << *refusal;
}

TEST_F(JoinConnectionTest, AReasonWithoutAnEndIsGivenOne) {
  const auto refusal = answer_to_hand_over([](int connection) {
    receive_request(connection);
    join::Answer answer;
    answer.reason.fill('x');
    (void)send_message(connection, answer);
  });
  ASSERT_TRUE(refusal);
  EXPECT_TRUE(refusal->ends_with("refuses: " + std::string(254, 'x')));
}

TEST_F(JoinConnectionTest, HalfAnAnswerIsNone) {
  EXPECT_TRUE(answer_to_hand_over([](int connection) {
    receive_request(connection);
    (void)!::send(connection, "\1", 1, MSG_NOSIGNAL);
  }));
}

TEST_F(JoinConnectionTest, WhatTheServerGivesForProc) {
  const FakeServer server(path_, [](int connection) {
    const UniqueFd mount(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    if (!greet(connection) || receive_request(connection) != 2) return;
    join::Answer answer;
    answer.accepted = 1;
    (void)send_message(connection, answer, std::array{mount.get()});
  });
  auto connection = JoinConnection::to({path_});
  ASSERT_EQ(trouble_of(connection), "");
  const UniqueFd any(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto handed_over = connection->hand_over(any, any, kTracerWait);
  ASSERT_EQ(refusal_of(handed_over), std::nullopt);
  EXPECT_TRUE(handed_over->mount.valid());
}

TEST_F(JoinConnectionTest, WhetherNobodyServes) {
  const auto nobody_serves = [](const std::string& path) {
    const auto connection = JoinConnection::to({path});
    return !connection && connection.error().nobody_serves;
  };
  EXPECT_TRUE(nobody_serves(path_)) << "no file";
  {
    const FakeServer server(path_, [](int) {});
  }
  EXPECT_TRUE(nobody_serves(path_)) << "a socket that was left behind";
  EXPECT_FALSE(nobody_serves(folder_.path("")));
  EXPECT_FALSE(nobody_serves(std::string(200, 'x')));
}

TEST_F(JoinConnectionTest, GreetingsThatAreNone) {
  join::Greeting older;
  older.words.at(14) = '0';
  const std::function<void(int)> greetings[] = {
      [](int connection) { (void)!::send(connection, "hello", 5, MSG_NOSIGNAL); },
      [&older](int connection) { (void)send_message(connection, older); },
      [](int connection) {  // as a greeting, and more of it
        const std::array<join::Greeting, 2> two{};
        (void)send_message(connection, two);
      },
  };
  for (const auto& greeting : greetings) {
    const FakeServer server(path_, greeting);
    EXPECT_NE(trouble_of(JoinConnection::to({path_})).find("does not answer as this version"),
              std::string::npos);
    ASSERT_EQ(::unlink(path_.c_str()), 0);
  }
  // A server that only ends may have a successor, so it is asked again, but not without end.
  constexpr int kMoreThanAreMade = 1000;
  const FakeServer server(
      path_, [](int) {}, [] {}, kMoreThanAreMade);
  EXPECT_NE(trouble_of(JoinConnection::to({path_})).find("does not answer as this version"),
            std::string::npos);
}

TEST_F(JoinConnectionTest, AnotherUsersServerIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "being another user takes root";
  const FakeServer server(
      path_, [](int connection) { greet(connection); },
      [&] {
        ::chmod(folder_.path("").c_str(), 0777);
        (void)!::setresuid(1000, 1000, 1000);
      });
  EXPECT_NE(trouble_of(JoinConnection::to({path_})).find("belongs to user 1000"),
            std::string::npos);
}

TEST_F(JoinConnectionTest, PathsWhereNobodyServes) {
  EXPECT_NE(trouble_of(JoinConnection::to({path_})).find("No such file"), std::string::npos);
  EXPECT_NE(trouble_of(JoinConnection::to({""})).find("no shmvisor serves"), std::string::npos);
  EXPECT_NE(trouble_of(JoinConnection::to({std::string(108, 'x')})).find("no shmvisor serves"),
            std::string::npos);
  // Of another type.
  const auto address = SocketAddress::of(path_);
  const UniqueFd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(stream.get(), address->get(), SocketAddress::size_bytes()), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  EXPECT_EQ(trouble_of(JoinConnection::to({path_})),
            "'" + path_ + "' is the socket of another program");
}

}  // namespace
}  // namespace shmvisor
