// JoinedCommands, with the test as who visits: what is taken in, what is refused, and who must give
// way.
#include "supervisor/join/joined_commands.h"

#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/socket_address.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/join_visitor.h"
#include "tests/refused_call.h"
#include "tests/scratch_folder.h"
#include "tests/serving_suite.h"
#include "tests/supervised_child.h"
#include "tests/unclosable_file.h"

namespace shmvisor {
namespace {

constexpr uid_t kAnotherUser = 1000;
constexpr key_t kKey = 0x701;

class JoinedCommandsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    set_up_serving_suite();
    threads_at_rest_ = entries_of("/proc/self/task");
  }
  /// Threads that free what the last test had may be left, and descriptors with them.
  void SetUp() override {
    ASSERT_TRUE(
        serving_.turn_until([] { return entries_of("/proc/self/task") <= threads_at_rest_; }));
  }
  /// Other tests fork, which only a single thread may.
  void TearDown() override {
    EXPECT_TRUE(serving_.joined.drain());
    EXPECT_TRUE(
        serving_.turn_until([] { return entries_of("/proc/self/task") <= threads_at_rest_; }));
  }

  /// A visitor that has been greeted.
  Visitor visit() {
    Visitor visitor(path_);
    EXPECT_TRUE(visitor.connected());
    EXPECT_TRUE(serving_.turn_until([&] { return visitor.readable(); }));
    EXPECT_TRUE(visitor.greeted());
    return visitor;
  }
  std::string answer_to(const std::vector<int>& fds,
                        const join::Request& request = join::Request()) {
    const Visitor visitor = visit();
    visitor.ask(fds, request);
    EXPECT_TRUE(serving_.turn_until([&] { return visitor.readable(); }));
    return visitor.answer();
  }
  static std::ptrdiff_t entries_of(const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  }
  static std::ptrdiff_t count_descriptors() { return entries_of("/proc/self/fd"); }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("socket");
  Serving serving_{path_};
  static std::ptrdiff_t threads_at_rest_;
};

std::ptrdiff_t JoinedCommandsTest::threads_at_rest_ = 0;

constexpr const char* kNoListener = "it handed over something else than a seccomp listener";

int use_shared_memory() {
  const int id = ::shmget(kKey, 4096, IPC_CREAT | 0600);
  if (id < 0) return errno;
  void* const at = ::shmat(id, nullptr, 0);
  return at != reinterpret_cast<void*>(-1) && ::shmdt(at) == 0 ? 0 : errno;
}

TEST_F(JoinedCommandsTest, AVisitAsItShouldBe) {
  SupervisedChild command([] { return use_shared_memory(); });
  ASSERT_EQ(command.trouble(), "");
  const Visitor visitor = visit();
  visitor.ask({command.listener().fd()});
  ASSERT_TRUE(serving_.turn_until([&] { return visitor.readable(); }));
  EXPECT_EQ(visitor.answer(), "");
  EXPECT_FALSE(serving_.joined.all_gone());
  ASSERT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
  EXPECT_EQ(exit_status_of(command.child()), 0);
  join::Farewell farewell;
  EXPECT_TRUE(receive_message(visitor.fd(), farewell));
  EXPECT_EQ(farewell.words, join::kFarewellWords);
  EXPECT_TRUE(serving_.joined.drain());
  EXPECT_FALSE(Visitor(path_).connected());
}

TEST_F(JoinedCommandsTest, RequestsThatAreNone) {
  SupervisedChild command([] {
    Gate().pass();
    return 0;
  });
  ASSERT_EQ(command.trouble(), "");
  const int listener = command.listener().fd();
  const UniqueFd file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  const auto descriptors = count_descriptors();
  EXPECT_EQ(answer_to({}), kNoListener);
  EXPECT_EQ(answer_to({file.get()}), kNoListener);
  EXPECT_EQ(answer_to({listener, file.get()}), kNoListener) << "a second one that is not for it";
  join::Request request;
  request.wants_files = 1;
  EXPECT_EQ(answer_to({listener}, request), kNoListener);
  EXPECT_EQ(answer_to({listener, file.get()}, request), kNoListener) << "no user namespace";
  request = {};
  request.words.at(14) = '9';
  EXPECT_EQ(answer_to({listener}, request), "it is another version of shmvisor");
  request = {};
  request.wants_files = 77;
  const UniqueFd user_namespace(::open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(answer_to({listener, user_namespace.get()}, request), kNoListener);

  const Visitor half = visit();
  request = {};
  ASSERT_TRUE(
      send_bytes(half.fd(), std::as_bytes(std::span(&request, 1)).first(9), std::array{listener}));
  ASSERT_TRUE(serving_.turn_until([&] { return half.readable(); }));
  EXPECT_EQ(half.answer(), "it sent no request");
  EXPECT_TRUE(half.sent_away()) << "nobody may ask twice";

  EXPECT_TRUE(serving_.joined.all_gone());
  EXPECT_TRUE(serving_.turn_until([&] { return count_descriptors() == descriptors + 2; }))
      << "the half visitor's own, and the namespace";
}

// To close it waits for ever, and no signal ends that: neither the server may wait nor its threads.
TEST_F(JoinedCommandsTest, AFileThatCannotBeClosedKeepsNobody) {
  if (::geteuid() != 0) GTEST_SKIP() << "making a file system takes root";
  SupervisedChild command([] { return use_shared_memory(); });
  ASSERT_EQ(command.trouble(), "");
  FileThatCannotBeClosed files;
  if (!files.made()) GTEST_SKIP() << "there is no FUSE here";
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  // The file is open in a process of its own, which ends only when the file system has ended.
  Child hostile([&] {
    const UniqueFd file = files.open();
    const Visitor visitor(path_);
    if (!file.valid() || !visitor.greeted()) return 1;
    visitor.ask({file.get()});
    const bool refused = visitor.answer() == kNoListener;
    (void)send_message(theirs.get(), refused);
    return refused ? 0 : 2;
  });
  ASSERT_TRUE(serving_.turn_until([&] {
    pollfd told{ours.get(), POLLIN, 0};
    return ::poll(&told, 1, 0) == 1;
  })) << "it is refused";
  const Visitor other = visit();
  other.ask({command.listener().fd()});
  ASSERT_TRUE(serving_.turn_until([&] { return other.readable(); }));
  EXPECT_EQ(other.answer(), "");
  EXPECT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
  EXPECT_EQ(exit_status_of(command.child()), 0);
  files.end();
  EXPECT_EQ(exit_status_of(hostile), 0);
}

TEST_F(JoinedCommandsTest, AVisitorThatGoesAwayAtAnyStep) {
  // Before there are threads.
  std::array<Gate, 2> gates;
  const auto once_let = [&gates](std::size_t round) {
    return [&gates, round] { return gates.at(round).pass() ? use_shared_memory() : 1; };
  };
  std::array<SupervisedChild, 2> commands{SupervisedChild(once_let(0)),
                                          SupervisedChild(once_let(1))};
  const auto descriptors = count_descriptors();
  Visitor(path_).leave();
  serving_.turn();
  visit().leave();
  EXPECT_TRUE(serving_.turn_until([&] { return count_descriptors() == descriptors; }));
  for (std::size_t round = 0; round < commands.size(); ++round) {
    const bool hears_the_answer = round == 1;
    SupervisedChild& command = commands.at(round);
    ASSERT_EQ(command.trouble(), "");
    Visitor visitor = visit();
    visitor.ask({command.listener().fd()});
    if (hears_the_answer) {
      ASSERT_TRUE(serving_.turn_until([&] { return visitor.readable(); }));
      EXPECT_EQ(visitor.answer(), "");
    }
    visitor.leave();
    // The command was handed over all the same, and is served to its end.
    EXPECT_TRUE(serving_.turn_until([&] { return !serving_.joined.all_gone(); }));
    gates.at(round).open();
    EXPECT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
    EXPECT_EQ(exit_status_of(command.child()), 0);
  }
  // The segment of the commands stays, and so does its memory.
  EXPECT_TRUE(serving_.turn_until([&] { return count_descriptors() <= descriptors + 2; }));
}

TEST_F(JoinedCommandsTest, TheOldestSilentVisitorGivesWay) {
  SupervisedChild command([] { return use_shared_memory(); });  // before there are connections
  ASSERT_EQ(command.trouble(), "");
  std::vector<Visitor> crowd;
  for (std::size_t i = 0; i < JoinedCommands::kMostVisitors; ++i) crowd.push_back(visit());
  EXPECT_FALSE(crowd.front().sent_away());
  const Visitor late = visit();
  EXPECT_TRUE(crowd.front().sent_away());
  EXPECT_FALSE(crowd.at(1).sent_away());
  late.ask({command.listener().fd()});
  ASSERT_TRUE(serving_.turn_until([&] { return late.readable(); }));
  EXPECT_EQ(late.answer(), "");
  EXPECT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
  EXPECT_EQ(exit_status_of(command.child()), 0);
}

TEST_F(JoinedCommandsTest, ACrowdOfOneUsersKeepsNoOtherOut) {
  if (::geteuid() != 0) GTEST_SKIP() << "being another user takes root";
  ASSERT_EQ(::chmod(folder_.path("").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  SupervisedChild command([] { return use_shared_memory(); });
  ASSERT_EQ(command.trouble(), "");
  const Visitor early = visit();
  std::vector<Visitor> crowd;
  ASSERT_EQ(::seteuid(kAnotherUser), 0);  // connect(2) notes who connects
  for (std::size_t i = 0; i < 3 * JoinedCommands::kMostVisitors; ++i) {
    crowd.emplace_back(path_);
    serving_.turn();
  }
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_TRUE(serving_.turn_until([&] { return crowd.back().readable(); }));
  EXPECT_TRUE(crowd.front().sent_away());
  early.ask({command.listener().fd()});
  ASSERT_TRUE(serving_.turn_until([&] { return early.readable(); }));
  EXPECT_EQ(early.answer(), "");
  EXPECT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
  EXPECT_EQ(exit_status_of(command.child()), 0);
}

TEST_F(JoinedCommandsTest, ManyCommandsOfOneUsersKeepNoOtherOut) {
  if (::geteuid() != 0) GTEST_SKIP() << "being another user takes root";
  ASSERT_EQ(::chmod(folder_.path("").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  Gate go;
  SupervisedChild command([&] { return go.pass() ? 0 : 1; });
  ASSERT_EQ(command.trouble(), "");
  // The same one again and again: who asks is what counts.
  const std::vector<int> fds{command.listener().fd()};
  ASSERT_EQ(::seteuid(kAnotherUser), 0);
  std::vector<Visitor> crowd;
  for (std::ptrdiff_t i = 0; i <= JoinedCommands::kMostOfAnotherUser; ++i) {
    crowd.emplace_back(path_);
    crowd.back().ask(fds);
    serving_.turn();
  }
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_TRUE(serving_.turn_until([&] { return crowd.back().readable(); }));
  EXPECT_TRUE(crowd.back().greeted());
  EXPECT_TRUE(serving_.turn_until([&] { return crowd.back().readable(); }));
  EXPECT_EQ(crowd.back().answer(), "too many commands have joined already");
  for (const Visitor& visitor : crowd) {
    if (&visitor == &crowd.back()) break;
    EXPECT_TRUE(visitor.greeted());
    EXPECT_TRUE(serving_.turn_until([&] { return visitor.readable(); }));
    EXPECT_EQ(visitor.answer(), "");
  }
  EXPECT_EQ(answer_to(fds), "") << "of the server's user";
  go.open();
  EXPECT_TRUE(serving_.turn_until([&] { return serving_.joined.all_gone(); }));
  EXPECT_EQ(exit_status_of(command.child()), 0);
}

// Who connected is what counts, not whoever may have its number by now.
TEST_F(JoinedCommandsTest, AVisitorThatHasEndedIsRefused) {
  SupervisedChild command([] { return 0; });
  ASSERT_EQ(command.trouble(), "");
  const Visitor connected = visit();  // so that there is a server to be seen
  const auto address = SocketAddress::of(path_);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  Child gone([&] {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), address->get(), SocketAddress::size_bytes()) != 0) return 1;
    return send_message(theirs.get(), 'x', std::array{socket.get()}) ? 0 : 2;
  });
  char byte = 0;
  const auto received = receive_message(ours.get(), byte);
  ASSERT_TRUE(received);
  EXPECT_EQ(exit_status_of(gone), 0);
  const UniqueFd& socket = received->at(0);
  const auto readable = [&] {
    pollfd waiting{socket.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  };
  ASSERT_TRUE(serving_.turn_until(readable));
  join::Greeting greeting;
  EXPECT_TRUE(receive_message(socket.get(), greeting));
  EXPECT_TRUE(send_message(socket.get(), join::Request(), std::array{command.listener().fd()}));
  ASSERT_TRUE(serving_.turn_until(readable));
  join::Answer answer;
  EXPECT_TRUE(receive_message(socket.get(), answer));
  EXPECT_EQ(answer.accepted, 0);
  EXPECT_TRUE(serving_.joined.all_gone());
}

// A security module may refuse the connection each time.
TEST_F(JoinedCommandsTest, WhoCannotBeAcceptedKeepsNobodyBusy) {
  const std::string path = folder_.path("refused");
  Gate ready;
  Child server([&] {
    Serving theirs(path);
    if (!refuse_call(SYS_accept4, EACCES)) return 1;
    ready.open();
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    int turns = 0;
    theirs.turn_until([&] {
      ++turns;
      return std::chrono::steady_clock::now() >= end;
    });
    return turns < 200 ? 0 : 2;
  });
  ASSERT_TRUE(ready.pass());
  const Visitor visitor(path);
  EXPECT_TRUE(visitor.connected());
  EXPECT_EQ(exit_status_of(server), 0);
}

TEST_F(JoinedCommandsTest, WhoIsOutOfReachIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "being another user takes root";
  const std::string path = folder_.path("theirs");
  ASSERT_EQ(::chmod(folder_.path("").c_str(), 0777), 0);
  SupervisedChild command([] { return 0; });
  ASSERT_EQ(command.trouble(), "");
  Gate ready;
  Child server([&] {
    if (::setresuid(kAnotherUser, kAnotherUser, kAnotherUser) != 0) return 1;
    Serving theirs(path);
    ready.open();
    theirs.turn_until([] { return false; });
    return 0;
  });
  ASSERT_TRUE(ready.pass());
  const Visitor visitor(path);
  ASSERT_TRUE(visitor.connected());
  ASSERT_TRUE(wait_readable(visitor.fd()));
  EXPECT_TRUE(visitor.greeted());
  visitor.ask({command.listener().fd()});
  ASSERT_TRUE(wait_readable(visitor.fd()));
  EXPECT_TRUE(visitor.answer().starts_with("the kernel lets the server map nothing into"));
}

}  // namespace
}  // namespace shmvisor
