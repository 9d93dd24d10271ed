// The control socket of a run: clients that ask, and clients that send anything else, nothing, or
// too much, read nothing, or come in crowds. None of them stops the loop or keeps another out.
#include "supervisor/control/control_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "supervisor/control/protocol.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/procfs/process_name.h"
#include "tests/control_server_fixture.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

using control::Json;

CallEvent event_of(pid_t pid) {
  CallEvent event;
  event.pid = pid;
  return event;
}

TEST_F(ControlServerTest, TheSocketIsItsUsersAlone) {
  struct stat status {};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(ControlServerTest, SaysWhoItIs) {
  const UniqueFd client = connect();
  const Json hello = last_line(receive(client, 1))["hello"];
  EXPECT_EQ(hello["protocol"], control::kProtocolVersion);
  EXPECT_EQ(hello["kind"], "run");
  EXPECT_EQ(hello["name"], "test");
  EXPECT_EQ(hello["pid"], ::getpid());
}

TEST_F(ControlServerTest, AnswersRequestsInTheirOrder) {
  const UniqueFd client = connect();
  ASSERT_TRUE(
      send(client,
           "{\"request\":\"registries\"}\n{\"request\":\"segments\",\"registry\":\"main\"}\n"
           "{\"request\":\"segments\",\"registry\":\"none\"}\n"));
  const std::string text = receive(client, 4);
  EXPECT_LT(text.find("\"registries\""), text.find("\"segments\":[]"));
  EXPECT_EQ(last_line(text)["error"]["code"], "no-such-registry");
  EXPECT_EQ(ask(R"({"request":"registries"})")["registries"][0]["limits"]["shmmni"], 7);
}

TEST_F(ControlServerTest, GivesAwayMemoryAndTakesItIn) {
  const UniqueFd client = connect();
  const auto next = [&](const std::string& request, UniqueFd* file) {
    EXPECT_TRUE(send(client, request + "\n"));
    std::string got;
    EXPECT_TRUE(turn_until([&] {
      std::array<std::byte, 4096> buffer{};
      int flags = 0;
      const ssize_t bytes = receive_some(client.get(), buffer, flags, [&](UniqueFd fd) {
        if (file != nullptr) *file = std::move(fd);
      });
      if (bytes > 0) got.append(reinterpret_cast<const char*>(buffer.data()), bytes);
      return !got.empty() && got.back() == '\n';
    }));
    return last_line(got);
  };
  (void)receive(client, 1);
  EXPECT_EQ(next(R"({"request":"insert"})", nullptr)["error"]["code"], "nothing-allocated");
  const std::string allocate =
      R"({"request":"allocate","registry":"main","key":7,"size":5000,"mode":"0600"})";
  UniqueFd file;
  EXPECT_EQ(next(allocate, &file)["reply"], "allocate");
  ASSERT_TRUE(file.valid());
  char byte = 0;
  EXPECT_EQ(::read(file.get(), &byte, 1), -1) << "it keeps nothing in use";
  {
    const UniqueFd memory(::open(descriptor_path(file).c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::pwrite(memory.get(), "x", 1, 4999), 1);
    EXPECT_EQ(::ftruncate(memory.get(), 0), -1) << "its size is sealed";
  }
  EXPECT_EQ(session_->registries().initial()->read()->in_use(), 0);
  const Json inserted = next(R"({"request":"insert"})", nullptr);
  EXPECT_EQ(inserted["shmid"], 0);
  EXPECT_EQ(next(allocate, nullptr)["error"]["code"], "key-exists");
  const Json opened = next(R"({"request":"open","registry":"main","shmid":0})", &file);
  EXPECT_EQ(opened["segsz"], 5000);
  const UniqueFd memory(::open(descriptor_path(file).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::pread(memory.get(), &byte, 1, 4999), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(ControlServerTest, ALoadEndsWithItsClient) {
  {
    const UniqueFd client = connect();
    ASSERT_TRUE(send(
        client, "{\"request\":\"allocate\",\"registry\":\"main\",\"size\":5,\"mode\":\"600\"}\n"));
    (void)receive(client, 2);
    EXPECT_TRUE(turn_until([this] { return session_.use_count() == 2; })) << "the load has one";
  }
  EXPECT_TRUE(turn_until([this] { return session_.use_count() == 1; }));
  expect_served();
}

TEST_F(ControlServerTest, ChangesARegistry) {
  EXPECT_EQ(ask(R"({"request":"set","registry":"main","shmmax":5})")["limits"]["shmmax"], 5);
  EXPECT_EQ(session_->registries().initial()->read()->limits().shmmax, 5U);
  EXPECT_EQ(session_->registries().initial()->read()->limits().shmmni, 7U);
  EXPECT_EQ(ask(R"({"request":"remove","registry":"main","shmid":5})")["error"]["code"],
            "no-such-segment");
  EXPECT_EQ(ask(R"({"request":"remove","registry":"x","shmid":5})")["error"]["code"],
            "no-such-registry");
  EXPECT_EQ(ask(R"({"request":"report"})")["calls"]["shmget"]["calls"], 0);
  const Json counters = ask(R"({"request":"counters"})");
  EXPECT_EQ(counters["registries"][0]["name"], "main");
  EXPECT_EQ(counters["registries"][0]["calls"]["shmat"]["within"].size(),
            counters["bounds_ns"].size() + 1);
}

TEST_F(ControlServerTest, AReloadIsAnsweredAlsoWhereMemoryWasShort) {
  int failures_to_come = 2;
  Reloader reloader(
      loop_, [] { return SteeringUpdate{.steering = {.limits = {.shmmax = 9}}}; },
      [this, &failures_to_come](const Steering& steering) {
        if (failures_to_come-- > 0) throw std::bad_alloc();
        session_->steer(steering);
      });
  server_->reload_by(reloader);
  const UniqueFd leaves = connect();
  EXPECT_TRUE(send(leaves, "{\"request\":\"reload\"}\n"));
  EXPECT_EQ(ask(R"({"request":"reload"})")["rules"], 0);
  EXPECT_EQ(session_->registries().initial()->read()->limits().shmmax, 9U);
  EXPECT_EQ(last_line(receive(leaves, 2))["reply"], "reload");
  EXPECT_TRUE(reloader.wait_for_end(std::chrono::seconds(10)));
}

TEST_F(ControlServerTest, AReloadThatIsNotOverIsToldAtTheEnd) {
  std::atomic<bool> over{false};
  Reloader reloader(
      loop_,
      [&over] {
        while (!over.load()) ::usleep(1000);
        return SteeringUpdate{};
      },
      [](const Steering&) {});
  server_->reload_by(reloader);
  const UniqueFd follows = connect();
  EXPECT_TRUE(send(follows, "{\"request\":\"follow\"}\n"));
  EXPECT_EQ(last_line(receive(follows, 2))["reply"], "follow");
  const UniqueFd asks = connect();
  EXPECT_TRUE(send(asks, "{\"request\":\"reload\"}\n{\"request\":\"reload\"}\n"));
  receive(asks, 1);
  // Its request is behind this one's.
  expect_served();
  server_->give_up_reloads();
  const Json act = last_line(receive(follows, 1))["act"];
  EXPECT_EQ(act["act"], "reload");
  EXPECT_EQ(act["result"], "unanswered");
  EXPECT_EQ(act["by_pid"], ::getpid());
  EXPECT_EQ(act["by_command"].get<std::string>(), process_name(::getpid()));
  over.store(true);
  EXPECT_TRUE(turn_until([&reloader] { return reloader.wait_for_end(std::chrono::seconds(10)); }));
}

TEST(ReloadActsTest, WhatMayNotWaitIsUnanswered) {
  ReloadActs acts;
  for (std::size_t number = 0; number < ReloadActs::kMost; ++number) {
    EXPECT_FALSE(acts.add(1, AuditRecord("act")));
  }
  const auto result_of = [](const AuditRecord& act) { return act.fields().back().value; };
  const auto more = acts.add(1, AuditRecord("act"));
  ASSERT_TRUE(more);
  EXPECT_EQ(result_of(*more), "unanswered");
  const auto told = acts.take(1, R"({"reply":"reload"})");
  EXPECT_EQ(told.size(), ReloadActs::kMost);
  EXPECT_EQ(result_of(told.front()), "ok");
  EXPECT_FALSE(acts.add(2, AuditRecord("act")));
  const auto rest = acts.take_rest();
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(result_of(rest.front()), "unanswered");
  EXPECT_TRUE(acts.empty());
}

TEST_F(ControlServerTest, ALineWithoutItsEndIsToldFromOneThatIsTooLong) {
  const auto code_of = [this](const std::string& line) {
    const UniqueFd client = connect();
    (void)::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
    (void)::shutdown(client.get(), SHUT_WR);
    return last_line(receive(client))["error"]["code"];
  };
  EXPECT_EQ(code_of(R"({"request":"registries"})"), "bad-request");
  EXPECT_EQ(code_of(std::string(5000, '[') + "\n"), "too-long");
}

TEST_F(ControlServerTest, AnswersWhoSendsNothingMore) {
  const UniqueFd client = connect();
  ASSERT_TRUE(send(client, "{\"request\":\"registries\"}\n"));
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(last_line(receive(client))["reply"], "registries");
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
}

TEST_F(ControlServerTest, SaysWhatIsWrongOnceAndCloses) {
  for (const std::string& line :
       {std::string("x\n"), std::string("\n"), std::string(100, '\0') + "\n",
        std::string("{\"request\":\"registries\""), std::string(5000, '['),
        std::string(200'000, 'x')}) {
    const UniqueFd client = connect();
    EXPECT_TRUE(turn_until([this] { return server_->clients() == 1; }));
    (void)::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
    (void)::shutdown(client.get(), SHUT_WR);
    const std::string text = receive(client);
    EXPECT_NE(text.find("\"error\""), std::string::npos) << line.substr(0, 40) << ": " << text;
    EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
  }
  expect_served();
}

TEST_F(ControlServerTest, ForgetsWhoLeavesInTheMiddle) {
  for (const char* const begun : {"", "{\"request\"", "{\"request\":\"processes\"}\n"}) {
    UniqueFd client = connect();
    EXPECT_TRUE(send(client, begun));
    EXPECT_TRUE(turn_until([this] { return server_->clients() == 1; }));
    client.reset();
    EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
  }
  expect_served();
}

TEST_F(ControlServerTest, DropsWhoIsSilent) {
  open(kShort);
  const UniqueFd client = connect();
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 1; }));
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
}

TEST_F(ControlServerTest, DropsWhoTakesNothing) {
  open(kShort);
  const UniqueFd client = connect();
  int small = 1;
  (void)::setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "{\"request\":\"registries\"}\n";
  EXPECT_TRUE(send(client, many));
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 1; }));
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
}

TEST_F(ControlServerTest, FollowersGetEachCall) {
  const UniqueFd client = connect();
  ASSERT_TRUE(send(client, "{\"request\":\"follow\"}\n"));
  EXPECT_EQ(last_line(receive(client, 2))["reply"], "follow");
  EXPECT_TRUE(resources_->calls.wanted());
  resources_->calls.add(event_of(7));
  resources_->calls.add(event_of(8));
  const std::string text = receive(client, 2);
  EXPECT_NE(text.find("\"pid\":7"), std::string::npos) << text;
  EXPECT_EQ(last_line(text)["call"]["pid"], 8);
  EXPECT_EQ(last_line(text)["call"]["registry"], "main");
}

TEST_F(ControlServerTest, NothingIsKeptWhenTheLastFollowerLeaves) {
  UniqueFd client = connect();
  ASSERT_TRUE(send(client, "{\"request\":\"follow\"}\n"));
  receive(client, 2);
  EXPECT_TRUE(resources_->calls.wanted());
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  EXPECT_TRUE(loop_.turn(EventLoop::Clock::now()));
  EXPECT_TRUE(resources_->calls.wanted());
  client.reset();
  EXPECT_TRUE(turn_until([this] { return !resources_->calls.wanted(); }));
  EXPECT_EQ(server_->clients(), 0U);
}

TEST_F(ControlServerTest, FollowersKeepNobodyOutWhoAsks) {
  std::vector<UniqueFd> crowd;
  for (std::size_t i = 0; i < 2 * ControlServer::kMostClients; ++i) {
    crowd.push_back(connect());
    ASSERT_TRUE(send(crowd.back(), "{\"request\":\"follow\"}\n"));
    const Json said = last_line(receive(crowd.back(), 2));
    if (i < ControlServer::kMostFollowers) {
      EXPECT_EQ(said["reply"], "follow");
    } else {
      EXPECT_EQ(said["error"]["code"], "too-many-clients");
    }
  }
  expect_served();
  EXPECT_TRUE(turn_until([this] { return server_->clients() == ControlServer::kMostFollowers; }));
}

TEST_F(ControlServerTest, AFollowerThatTalksIsDropped) {
  const UniqueFd client = connect();
  ASSERT_TRUE(send(client, "{\"request\":\"follow\"}\n"));
  receive(client, 2);
  ASSERT_TRUE(send(client, std::string(100'000, 'x')));
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
  const UniqueFd in_one_breath = connect();
  receive(in_one_breath, 1);
  ASSERT_TRUE(send(in_one_breath, "{\"request\":\"follow\"}\n{\"request\":\"limits\"}\n"));
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
}

TEST_F(ControlServerTest, AFollowerThatReadsNothingLosesCallsAndIsTold) {
  const UniqueFd slow = connect();
  const UniqueFd quick = connect();
  for (const UniqueFd* const client : {&slow, &quick}) {
    ASSERT_TRUE(send(*client, "{\"request\":\"follow\"}\n"));
  }
  receive(quick, 2);
  constexpr int kCalls = 30'000;
  int seen = 0;
  for (int call = 0; call < kCalls; ++call) {
    resources_->calls.add(event_of(call));
    if (call % 1000 != 999) continue;
    const std::string text = receive(quick, 1000);
    seen += static_cast<int>(std::ranges::count(text, '\n'));
  }
  EXPECT_EQ(seen, kCalls);  // none is lost for one that reads
  resources_->calls.add(event_of(1));
  const std::string text = receive(slow, 5000);
  server_->finish_following(std::chrono::milliseconds(10));
  std::string rest = text;
  for (int more = 0; more < 40 && rest.find("\"lost\"") == std::string::npos; ++more) {
    resources_->calls.add(event_of(2));
    rest += receive(slow, 1);
  }
  EXPECT_NE(rest.find("{\"lost\":"), std::string::npos);
}

TEST_F(ControlServerTest, ACrowdKeepsNobodyOut) {
  std::vector<UniqueFd> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(connect());
    EXPECT_TRUE(loop_.turn(EventLoop::Clock::now()));
    EXPECT_LE(server_->clients(), ControlServer::kMostClients);
  }
  expect_served();
}

TEST_F(ControlServerTest, OfACrowdThatAsksEachIsServed) {
  std::vector<UniqueFd> crowd;
  for (std::size_t i = 0; i < 5 * ControlServer::kMostClients; ++i) crowd.push_back(connect());
  // All have come before the first one asks.
  EXPECT_TRUE(turn_until([&] { return server_->clients() == ControlServer::kMostClients; }));
  for (auto& client : crowd) {
    ASSERT_TRUE(send(client, "{\"request\":\"registries\"}\n"));
    EXPECT_TRUE(last_line(receive(client, 2)).contains("registries"));
    client.reset();
  }
}

TEST_F(ControlServerTest, NothingIsKeptOfThoseWhoAskAndLeave) {
  for (int i = 0; i < 300; ++i) {
    UniqueFd client = connect();
    ASSERT_TRUE(send(client, "{\"request\":\"processes\"}\n"));
    ASSERT_TRUE(loop_.turn(EventLoop::Clock::now()));
    client.reset();
    ASSERT_TRUE(loop_.turn(EventLoop::Clock::now()));
    ASSERT_LE(server_->waiting_requests(), ControlServer::kMostClients);
  }
  EXPECT_TRUE(turn_until([this] { return server_->clients() == 0; }));
  EXPECT_EQ(server_->waiting_requests(), 0U);
  expect_served();
}

TEST_F(ControlServerTest, SegmentsLeaveItsDescriptors) {
  EXPECT_EQ(resources_->descriptors.left(),
            resources_->plan.pool - static_cast<std::int64_t>(ControlServer::kMostClients) - 6);
}

TEST_F(ControlServerTest, TheFileGoesWithIt) {
  EXPECT_TRUE(server_->drain(std::chrono::seconds(10)));
  struct stat status {};
  EXPECT_NE(::lstat(path_.c_str(), &status), 0);
}

TEST_F(ControlServerTest, AnotherRunIsNotReplaced) {
  const auto second = ControlSocket::listen_at(path_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text.find("another run or agent serves"), std::string::npos);
}

}  // namespace
}  // namespace shmvisor
