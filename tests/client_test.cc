// The client's side: whom it finds, what it believes of a run, and how it prints.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "supervisor/client/ask_in_parts.h"
#include "supervisor/client/next_server.h"
#include "supervisor/client/remove_when_killed.h"
#include "supervisor/client/run_finder.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/text_table.h"
#include "supervisor/client/user_names.h"
#include "supervisor/control/control_place.h"
#include "supervisor/control/control_socket.h"
#include "tests/ready_run.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

using client::find_run;
using client::RunChoice;

/// A run that says what the test likes.
class FakeRun {
 public:
  FakeRun(const std::string& path, std::string says)
      : socket_(std::move(*ControlSocket::listen_at(path))), thread_([this, says] {
          for (;;) {
            const UniqueFd connection(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
            if (connection.valid()) {
              (void)::send(connection.get(), says.data(), says.size(), MSG_NOSIGNAL);
              ::shutdown(connection.get(), SHUT_WR);
              char byte = 0;
              while (::recv(connection.get(), &byte, 1, 0) > 0) {
              }
            } else if (over_.load()) {
              return;
            } else {
              ::usleep(1000);
            }
          }
        }) {}
  ~FakeRun() {
    over_.store(true);
    thread_.join();
  }

 private:
  ControlSocket socket_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("XDG_RUNTIME_DIR", folder_.path("").c_str(), 1);
    std::filesystem::create_directory(folder_.path("shmvisor"));
    std::filesystem::permissions(folder_.path("shmvisor"), std::filesystem::perms::owner_all);
  }
  std::string place(const std::string& name) { return folder_.path("shmvisor/" + name); }
  static std::string hello(const std::string& name, int pid) {
    return R"({"hello":{"protocol":1,"version":"9","kind":"run","name":)" + name + R"(,"pid":)" +
           std::to_string(pid) + "}}\n";
  }
  std::string problem(const RunChoice& choice) {
    const auto run = find_run(choice);
    return run ? "" : run.error().text;
  }

  const ScratchFolder folder_;
};

TEST_F(ClientTest, FindsTheOnlyRun) {
  EXPECT_NE(problem({.name = "one"}).find("no run"), std::string::npos);
  const FakeRun one(place("one.control"), hello("\"one\"", 5));
  { std::ofstream(place("stale.control")); }
  EXPECT_EQ(problem({}), "");
  EXPECT_EQ(problem({.name = "one"}), "");
  EXPECT_EQ(problem({.pid = 5}), "");
  EXPECT_EQ(problem({.path = place("one.control")}), "");
  EXPECT_NE(problem({.name = "two"}).find("there is: one (pid 5)"), std::string::npos);
  EXPECT_NE(problem({.path = place("one.control"), .pid = 6}).find("has pid 6"), std::string::npos);
}

TEST_F(ClientTest, ChoosesAmongSeveral) {
  const FakeRun one(place("one.control"), hello("\"one\"", 5));
  const FakeRun two(place("6.control"), hello("null", 6));
  EXPECT_NE(problem({}).find("pid 6, one (pid 5)"), std::string::npos) << problem({});
  EXPECT_EQ(problem({.pid = 6}), "");
  EXPECT_EQ(problem({.name = "one"}), "");
}

TEST_F(ClientTest, BelievesNoRunThatSaysAnythingElse) {
  int number = 0;
  for (const std::string& says :
       {std::string(), std::string("\n"), std::string("x\n"), std::string("[]\n"),
        std::string("{\"hello\":{}}\n"), std::string("{\"hello\":{\"protocol\":2}}\n"),
        std::string(3'000'000, 'x')}) {
    const std::string path = place(std::to_string(++number));
    const FakeRun run(path, says);
    EXPECT_NE(problem({.path = path}).find("no run answers at"), std::string::npos) << number;
  }
}

TEST_F(ClientTest, SaysWhyARunIsNotFound) {
  const FakeRun full(place("full.control"),
                     "{\"error\":{\"code\":\"too-many-clients\",\"message\":\"too many\"}}\n");
  const std::string full_one =
      "full (pid " + std::to_string(::getpid()) + ") does not answer: too many";
  EXPECT_EQ(problem({.name = "full"}), full_one);
  EXPECT_EQ(problem({}), full_one);
  const FakeRun one(place("one.control"), hello("\"one\"", 5));
  EXPECT_EQ(problem({.name = "one"}), "");
  EXPECT_EQ(problem({.pid = 5}), "");
  EXPECT_NE(problem({}).find("does not answer: too many"), std::string::npos) << problem({});
  const FakeRun odd(place("odd.control"), "{\"hello\":{\"protocol\":\"one\"}}\n");
  EXPECT_NE(problem({.name = "odd"}).find("it is no control socket"), std::string::npos);
}

TEST_F(ClientTest, PrintsNoTerminalEscapes) {
  EXPECT_EQ(client::printable("a\x1b[2Jb\n\xff"), "a?[2Jb??");
}

TEST_F(ClientTest, AFolderThatOthersMayEnterIsNoPlace) {
  EXPECT_TRUE(control::place_for({.path = "auto", .name = ""}));
  std::filesystem::permissions(folder_.path("shmvisor"), std::filesystem::perms::all);
  const auto place = control::place_for({.path = "", .name = "one"});
  ASSERT_FALSE(place);
  EXPECT_NE(place.error().text.find("mode 0700"), std::string::npos);
}

std::string part(const std::string& names, const std::string& next) {
  return R"({"reply":"registries","registries":[)" + names + R"(],"next":)" + next + "}\n";
}

constexpr const char* kTooLong = "{\"error\":{\"code\":\"too-long\",\"message\":\"too long\"}}\n";

/// The problem with all registries, or the number of parts.
std::string parts_of(client::RunConnection& run) {
  int parts = 0;
  const auto asked = client::ask_in_parts(run, "registries", "registries",
                                          [&parts](const client::Json&) { ++parts; });
  return asked ? std::to_string(parts) : asked.error().text;
}

TEST(AskInPartsTest, AsksOnceWhereAReplyHasRoom) {
  for (const std::string& answer : {std::string("{\"registries\":[1]}\n"), part("1", "null")}) {
    ReadyRun ready(answer);
    auto run = ready.connect();
    EXPECT_EQ(parts_of(run), "1");
    EXPECT_EQ(ready.asked(), "{\"request\":\"registries\"}\n");
  }
}

TEST(AskInPartsTest, AsksForPartsWhereAReplyIsTooLong) {
  ReadyRun ready(kTooLong + part("1,2", "\"0 b\"") + part("3", "null"));
  auto run = ready.connect();
  EXPECT_EQ(parts_of(run), "2");
  EXPECT_EQ(ready.asked(),
            "{\"request\":\"registries\"}\n"
            "{\"request\":\"registries\",\"after\":\"\"}\n"
            "{\"request\":\"registries\",\"after\":\"0 b\"}\n");
}

TEST(AskInPartsTest, SaysWhatIsWrongWithARunThatKnowsNoParts) {
  ReadyRun ready(kTooLong +
                 std::string("{\"error\":{\"code\":\"bad-request\",\"message\":\"what\"}}\n"));
  auto run = ready.connect();
  EXPECT_EQ(parts_of(run), "the run one (pid 5): too long");
}

TEST(AskInPartsTest, TakesNoPartsWithoutEnd) {
  std::string growing;
  for (int number = 1000; number < 2000; ++number) {
    growing += part("1", "\"0 " + std::to_string(number) + "\"");
  }
  for (const std::string& answers :
       {part("", "\"0 b\"") + part("1", "null"), part("1", "\"0 b\"") + part("1", "\"0 b\""),
        part("1", "\"0 b\"") + part("1", "\"9 a\"") + part("1", "null"),
        part("1", "\"\"") + part("1", "null"), part("1", "7") + part("1", "null"), growing}) {
    ReadyRun ready(answers);
    auto run = ready.connect();
    EXPECT_EQ(parts_of(run), "the run one (pid 5): its list of registries does not end") << answers;
  }
}

TEST(AskInPartsTest, TakesNoSegmentsWithoutEnd) {
  const auto problem_with = [](const std::string& answers) {
    ReadyRun ready(answers);
    auto run = ready.connect();
    const auto asked = client::for_each_segment(run, "main", [](const client::Json&) {});
    return asked ? std::string() : asked.error().text;
  };
  EXPECT_EQ(problem_with("{\"segments\":[1,2],\"next\":2}\n{\"segments\":[],\"next\":null}\n"), "");
  for (const char* const answer :
       {"{\"segments\":[],\"next\":1}\n", "{\"segments\":[1,2],\"next\":1}\n",
        "{\"segments\":[1],\"next\":32769}\n"}) {
    EXPECT_EQ(problem_with(answer), "the run one (pid 5): its list of segments does not end");
  }
}

TEST(RunConnectionTest, WaitsForNoLineThatKeepsComingAfterTheDeadline) {
  using Clock = std::chrono::steady_clock;
  ReadyRun ready("");
  auto run = ready.connect();
  std::atomic<bool> over{false};
  std::thread dripping([&ready, &over] {
    while (!over.load()) (void)::send(ready.socket().get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  });
  const auto began = Clock::now();
  run.answer_by(began + std::chrono::milliseconds(50));
  const auto reply = run.ask({{"request", "report"}});
  const auto took = Clock::now() - began;
  over.store(true);
  dripping.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().text, "the run one (pid 5): it did not answer in time");
  EXPECT_LT(took, std::chrono::seconds(20));
}

TEST(RunConnectionTest, WaitsForNoRunThatTakesNoRequests) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kSendPatience = client::RunConnection::kSendPatience;
  ReadyRun ready("");
  auto run = ready.connect();
  // Asked again and again it has not read, and answers are not waited for.
  const client::Json request = {{"request", std::string(3000, 'x')}};
  std::string problem;
  for (int asked = 0; asked < 1000 && problem.find("takes no") == std::string::npos; ++asked) {
    run.answer_by(Clock::now() + std::chrono::milliseconds(20));
    problem = run.ask(request).error().text;
  }
  EXPECT_EQ(problem, "the run one (pid 5): it takes no requests");
  const auto took = [&](const client::RunConnection::Deadline& deadline) {
    const auto began = Clock::now();
    run.answer_by(deadline);
    EXPECT_FALSE(run.ask(request));
    return Clock::now() - began;
  };
  // What is given to all answers bounds it; a busy machine may keep one of these longer.
  auto least = Clock::duration::max();
  for (int tried = 0; tried < 10 && least >= kSendPatience; ++tried) {
    least = std::min<Clock::duration>(least, took(Clock::now() + std::chrono::milliseconds(50)));
  }
  EXPECT_LT(least, kSendPatience);
  const auto without_deadline = took(std::nullopt);
  EXPECT_GE(without_deadline, kSendPatience);
  EXPECT_LT(without_deadline, client::RunConnection::kPatience / 2) << "and not for an answer";
}

TEST(RunConnectionTest, AsksNothingAfterTheDeadline) {
  ReadyRun ready("{\"reply\":\"report\"}\n{\"reply\":\"report\"}\n");
  auto run = ready.connect();
  EXPECT_TRUE(run.ask({{"request", "report"}}));
  run.answer_by(std::chrono::steady_clock::now());
  EXPECT_FALSE(run.ask({{"request", "report"}}));
  EXPECT_TRUE(run.has_failed());
}

/// What becomes of a process that is to remove a file when the signal comes.
int status_after(const std::string& path, int signal, bool is_ignored) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (is_ignored) ::signal(signal, SIG_IGN);
    client::remove_when_killed(path);
    ::raise(signal);
    ::_exit(7);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(RemoveWhenKilledTest, AFileGoesWithItsProcess) {
  const ScratchFolder folder;
  const std::string path = folder.path("file");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGALRM}) {
    { std::ofstream(path) << "some"; }
    const int status = status_after(path, signal, /*is_ignored=*/false);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << signal;
    EXPECT_FALSE(std::filesystem::exists(path)) << signal;
  }
  { std::ofstream(path) << "some"; }
  const int status = status_after(path, SIGHUP, /*is_ignored=*/true);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_TRUE(std::filesystem::exists(path));
}

/// Of the run "one", with this server.
std::string hello_of(int server) {
  return R"({"hello":{"protocol":1,"version":"9","kind":"run","name":"one","pid":5,"server":)" +
         std::to_string(server) + "}}\n";
}

TEST_F(ClientTest, TellsAnotherServerFromOneThatHasDroppedIt) {
  std::optional<FakeRun> first(std::in_place, place("one.control"), hello_of(6));
  auto run = find_run({.name = "one"});
  ASSERT_TRUE(run);
  run->interrupt();
  const auto dropped = client::next_server(*run);
  ASSERT_FALSE(dropped);
  EXPECT_NE(dropped.error().text.find("has dropped this client"), std::string::npos);
  first.reset();
  const auto none = client::next_server(*run);
  EXPECT_TRUE(none && !*none) << "the run has ended";
  const FakeRun second(place("one.control"), hello_of(7));
  const auto other = client::next_server(*run);
  EXPECT_TRUE(other && *other) << "the server has died";
}

TEST(RunNameTest, BeginsWithALetter) {
  for (const char* const name : {"a", "web-1", "A.b_c", "x9"}) {
    EXPECT_EQ(control::check_name(name), "") << name;
  }
  for (const std::string& name : {std::string(), std::string("7"), std::string("-a"),
                                  std::string("a/b"), std::string("a b"), std::string("..")}) {
    EXPECT_NE(control::check_name(name), "") << name;
  }
  EXPECT_EQ(control::check_name(std::string(64, 'a')), "");
  EXPECT_NE(control::check_name(std::string(65, 'a')), "");
}

TEST(UserNamesTest, ReadsPasswd) {
  const ScratchFolder folder;
  const std::string path = folder.path("passwd");
  {
    std::ofstream file(path);
    file << "root:x:0:0::/root:/bin/sh\nbroken\n:x:5:\nfar:x:99999999999:1::\nme\x1b:x:7:7:::\n";
  }
  const client::UserNames names(path);
  EXPECT_EQ(names.of(0), "root");
  EXPECT_EQ(names.of(7), "me?");
  EXPECT_EQ(names.of(5), "5");
  EXPECT_EQ(client::UserNames(folder.path("none")).of(0), "0");
}

TEST(TextTableTest, AlignsColumns) {
  client::TextTable table({"a", "bb"});
  table.add({"ccc", "d"});
  EXPECT_EQ(table.text(), "a   bb\nccc d\n");
}

}  // namespace
}  // namespace shmvisor
