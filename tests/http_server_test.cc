// The server of HTTP: what it takes for a request, and clients that send half of one, read nothing,
// or come in crowds.
#include "supervisor/http/http_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <fstream>
#include <string>

#include "supervisor/kernel/socket_address.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

int refusal_of(const std::string& text) {
  RequestReader reader;
  reader.take(text);
  EXPECT_TRUE(reader.done()) << text;
  return reader.refusal();
}

TEST(RequestReaderTest, ReadsARequestInAnyPieces) {
  const std::string text =
      "GET /metrics?x=1 HTTP/1.1\r\nhOst: localhost:9\r\nAccept: a/b\r\nAccept: c/d\r\n\r\nGET /";
  for (std::size_t piece = 1; piece < text.size(); ++piece) {
    RequestReader reader;
    for (std::size_t at = 0; at < text.size(); at += piece) reader.take(text.substr(at, piece));
    ASSERT_TRUE(reader.done());
    EXPECT_EQ(reader.refusal(), 0);
    EXPECT_EQ(reader.request().path, "/metrics");
    EXPECT_EQ(reader.request().host, "localhost:9");
    EXPECT_EQ(reader.request().accept, "a/b, c/d");
    EXPECT_FALSE(reader.request().head);
  }
}

TEST(RequestReaderTest, RefusesWhatIsNone) {
  EXPECT_EQ(refusal_of("HEAD / HTTP/1.0\r\n\r\n"), 0);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), 413);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 413);
  EXPECT_EQ(
      refusal_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
      400);
  EXPECT_EQ(refusal_of("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
  EXPECT_EQ(refusal_of(std::string("\x16\x03\x01\x00\xff", 5)), 400);
  EXPECT_EQ(refusal_of("GET /" + std::string(10000, 'x')), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int field = 0; field < 2000; ++field) many += "a: b\r\n";
  EXPECT_EQ(refusal_of(many), 431);
  RequestReader half;
  half.take("GET / HTTP/1.1\r\nHost: a\r\n");
  EXPECT_FALSE(half.done());
}

TEST(HostTest, IsAnAddressOrLocalhost) {
  for (const char* const host :
       {"localhost", "LOCALHOST:80", "127.0.0.1", "10.0.0.7:9477", "[::1]", "[::1]:9477"}) {
    EXPECT_TRUE(is_address_or_localhost(host)) << host;
  }
  for (const char* const host :
       {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:80@evil",
        "[::1", "[::1]evil", "localhost:x"}) {
    EXPECT_FALSE(is_address_or_localhost(host)) << host;
  }
}

TEST(ListeningPlaceTest, IsAnAddressOrAPath) {
  const auto any = ListeningPlace::listen_at("0");
  ASSERT_TRUE(any);
  EXPECT_EQ(any->url().rfind("http://127.0.0.1:", 0), 0U);
  EXPECT_FALSE(any->is_open_to_others());
  const auto open = ListeningPlace::listen_at("0.0.0.0:0");
  ASSERT_TRUE(open);
  EXPECT_TRUE(open->is_open_to_others());
  const auto taken = ListeningPlace::listen_at(any->url().substr(7));
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().text.find("in use"), std::string::npos);
  for (const char* const place :
       {"", "host:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":"}) {
    EXPECT_FALSE(ListeningPlace::listen_at(place)) << place;
  }
  const ScratchFolder folder;
  { std::ofstream(folder.path("file")); }
  EXPECT_FALSE(ListeningPlace::listen_at(folder.path("file")));
  EXPECT_TRUE(ListeningPlace::listen_at(folder.path("socket")));
  EXPECT_FALSE(std::filesystem::exists(folder.path("socket")));
}

class HttpServerTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kPatience{300};

  ListeningPlace place() { return std::move(*ListeningPlace::listen_at(path_)); }
  UniqueFd connect() {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto address = SocketAddress::of(path_);
    EXPECT_EQ(::connect(socket.get(), address->get(), SocketAddress::size_bytes()), 0);
    return socket;
  }
  static void say(const UniqueFd& socket, const std::string& text) {
    (void)::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  /// What comes until the server ends it, or `enough` did.
  std::string hear(const UniqueFd& socket, const std::string& enough = "") {
    std::string heard;
    bool over = false;
    (void)loop_.run_while(
        [&] {
          std::array<char, 65536> buffer{};
          const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
          if (got > 0) heard.append(buffer.data(), static_cast<std::size_t>(got));
          over = got == 0 || (got < 0 && errno != EAGAIN);
          return !over && (enough.empty() || heard.find(enough) == std::string::npos);
        },
        EventLoop::Clock::now() + std::chrono::seconds(20));
    return heard;
  }
  std::string ask(const std::string& text) {
    const UniqueFd socket = connect();
    say(socket, text);
    return hear(socket);
  }
  std::string get(const std::string& path) {
    return ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  void turn_for(std::chrono::milliseconds time) {
    (void)loop_.run_while([] { return true; }, EventLoop::Clock::now() + time);
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("socket");
  EventLoop loop_;
  EventLoop::Timer tick_ = loop_.timer([this] { tick_.set(EventLoop::Clock::now() + kTick); });
  static constexpr std::chrono::milliseconds kTick{5};
  HttpServer server_{loop_,
                     place(),
                     [this](HttpServer::ClientNumber client, const HttpRequest& request) {
                       if (request.path == "/later") {
                         later_.push_back(client);
                       } else if (request.path == "/stream") {
                         (void)server_.begin_stream(client);
                       } else if (request.path == "/much") {
                         server_.answer(client, {.body = std::string(8 << 20, 'x')});
                       } else {
                         server_.answer(client, {.body = "at " + request.path});
                       }
                     },
                     {{"X-Of-All", "1"}},
                     kPatience};
  std::deque<HttpServer::ClientNumber> later_;

  void SetUp() override { tick_.set(EventLoop::Clock::now()); }
};

TEST_F(HttpServerTest, Answers) {
  const std::string answer = get("/x");
  EXPECT_EQ(answer,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Of-All: 1\r\nContent-Length: 5\r\n\r\nat /x");
  EXPECT_EQ(ask("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").find("at /x"), std::string::npos);
  EXPECT_EQ(ask("nonsense\r\n\r\n").rfind("HTTP/1.1 400 ", 0), 0U);
  const std::string refused = ask("DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(refused.rfind("HTTP/1.1 405 ", 0), 0U);
  EXPECT_NE(refused.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_EQ(get("/much").size(), get("/").size() - std::string("at /").size() + (8 << 20) +
                                     std::string("8388608").size() - 1);
}

TEST_F(HttpServerTest, AnswersLaterAndToWhoSendsNothingMore) {
  const UniqueFd patient = connect();
  say(patient, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  const UniqueFd closing = connect();
  say(closing, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  ::shutdown(closing.get(), SHUT_WR);
  UniqueFd gone = connect();
  say(gone, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(loop_.run_while([this] { return later_.size() < 3; }));
  gone.reset();
  turn_for(2 * kPatience);
  EXPECT_EQ(server_.clients(), 2U);
  for (const auto client : later_) server_.answer(client, {.body = "at last"});
  EXPECT_NE(hear(patient).find("at last"), std::string::npos);
  EXPECT_NE(hear(closing).find("at last"), std::string::npos);
}

TEST_F(HttpServerTest, DropsWhoIsSlow) {
  const UniqueFd silent = connect();
  const UniqueFd half = connect();
  say(half, "GET / HTTP/1.1\r\n");
  const UniqueFd reads_nothing = connect();
  say(reads_nothing, "GET /much HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(loop_.run_while([this] { return server_.clients() < 3; }));
  ASSERT_TRUE(loop_.run_while([this] { return server_.clients() != 0; }));
  EXPECT_NE(get("/").find("at /"), std::string::npos);
}

TEST_F(HttpServerTest, ACrowdKeepsNobodyOut) {
  std::vector<UniqueFd> crowd;
  for (int newcomer = 0; newcomer < 200; ++newcomer) {
    crowd.push_back(connect());
    (void)loop_.turn(EventLoop::Clock::now());
    EXPECT_LE(server_.clients(), HttpServer::kMostClients);
  }
  EXPECT_NE(get("/").find("at /"), std::string::npos);
}

TEST_F(HttpServerTest, StreamsToWhoKeepsUp) {
  int left = 0;
  server_.on_leave([&left] { ++left; });
  UniqueFd follower = connect();
  say(follower, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(hear(follower, "\r\n\r\n").find("Content-Type: text/event-stream\r\n"),
            std::string::npos);
  server_.send_event("call", "{}");
  EXPECT_EQ(hear(follower, "\n\n"), "event: call\ndata: {}\n\n");
  turn_for(2 * kPatience);
  EXPECT_EQ(server_.streams(), 1U);
  const std::string much(1 << 20, 'x');
  for (int event = 0; event < 20; ++event) server_.send_event("call", much);
  EXPECT_EQ(server_.streams(), 0U);
  EXPECT_EQ(left, 1);
  std::vector<UniqueFd> many;
  for (std::size_t number = 0; number <= HttpServer::kMostStreams; ++number) {
    many.push_back(connect());
    say(many.back(), "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  EXPECT_EQ(hear(many.back()).rfind("HTTP/1.1 503 ", 0), 0U);
  EXPECT_EQ(server_.streams(), HttpServer::kMostStreams);
}

}  // namespace
}  // namespace shmvisor
