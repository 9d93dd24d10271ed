// StrangersFile and LastCloses, with the test as the stranger.
#include "supervisor/resources/strangers_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/plain_receive.h"
#include "supervisor/resources/end_listening.h"
#include "tests/stranger.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uid_t kAttacker = 65534;
constexpr std::chrono::seconds kAtOnce(5);

class StrangersFileTest : public ::testing::Test {
 protected:
  static std::ptrdiff_t entries_of(const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  }
  template <typename What>
  static bool comes(What what) {
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    while (!what()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  [[nodiscard]] bool threads_end() const {
    return comes([this] { return entries_of("/proc/self/task") == threads_; });
  }

  /// A connection: ours, and the stranger's.
  struct Pair {
    explicit Pair(int type = SOCK_SEQPACKET) {
      int pair[2];
      EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
      ours.hold(UniqueFd(pair[0]));
      ours.charge(kAttacker);
      theirs.reset(pair[1]);
    }
    void send(UniqueFd file) const {
      EXPECT_TRUE(send_message(theirs.get(), 'x', std::array{file.get()}));
    }
    void close() {
      const auto begin = Clock::now();
      { const StrangersFile closed = std::move(ours); }
      EXPECT_LT(Clock::now() - begin, kAtOnce);
    }
    StrangersFile ours;
    UniqueFd theirs;
  };

  const std::ptrdiff_t threads_ = entries_of("/proc/self/task");
  const std::ptrdiff_t descriptors_ = entries_of("/proc/self/fd");
};

/// Bound to an address that the kernel chooses, which is `address` then.
UniqueFd listening_at(sockaddr_un& address, socklen_t& size) {
  UniqueFd listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  address = {};
  address.sun_family = AF_UNIX;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listening.get(), any, sizeof(sa_family_t)), 0);
  EXPECT_EQ(::listen(listening.get(), 8), 0);
  size = sizeof(address);
  EXPECT_EQ(::getsockname(listening.get(), any, &size), 0);
  return listening;
}

TEST_F(StrangersFileTest, AConnectionWithNothingInItNeedsNobody) {
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    Pair pair(type);
    pair.close();
    EXPECT_EQ(entries_of("/proc/self/task"), threads_);
    char byte = 0;
    EXPECT_EQ(::recv(pair.theirs.get(), &byte, 1, 0), 0);
  }
  EXPECT_EQ(entries_of("/proc/self/fd"), descriptors_);
}

TEST_F(StrangersFileTest, WhatASocketWithLingerIsDroppedWithWaitsForNobodyHere) {
  LingeringSocket lingering;
  if (!lingering.made()) GTEST_SKIP() << "no loopback";
  Pair pair;
  pair.send(lingering.take());
  pair.theirs.reset();
  pair.close();
  EXPECT_TRUE(comes([] { return LastCloses::all().wait_until_taken(std::chrono::seconds(1)); }));
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, AnEmptyMessageInFrontHidesNothing) {
  LingeringSocket lingering;
  if (!lingering.made()) GTEST_SKIP() << "no loopback";
  Pair pair;
  ASSERT_EQ(::send(pair.theirs.get(), "", 0, 0), 0);
  pair.send(lingering.take());
  pair.close();
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, WhatWasPeekedIsThereStill) {
  LingeringSocket lingering;
  if (!lingering.made()) GTEST_SKIP() << "no loopback";
  Pair pair(SOCK_STREAM);
  const int from_the_beginning = 0;
  ASSERT_EQ(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_PEEK_OFF, &from_the_beginning,
                         sizeof(from_the_beginning)),
            0);
  pair.send(lingering.take());
  char byte = 0;
  ASSERT_EQ(::recv(pair.ours.get(), &byte, 1, MSG_PEEK), 1);
  pair.close();
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, AStuckOneKeepsNeitherOthersNorThisProcess) {
  FileInStuckEpoll stuck;
  if (!stuck.made()) GTEST_SKIP() << "userfaultfd(2) is not allowed";
  {
    StrangersFile file;
    file.charge(kAttacker);
    file.hold(stuck.take());
  }
  EXPECT_TRUE(LastCloses::all().wait_until_taken(std::chrono::seconds(20)));
  // Another one of the same user's, and one of somebody else's.
  for (const uid_t user : {kAttacker, uid_t{1000}}) {
    Pair pair;
    pair.ours.charge(user);
    pair.send(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
    pair.close();
    EXPECT_TRUE(LastCloses::all().wait_until_taken(std::chrono::seconds(20)));
  }
  EXPECT_GT(entries_of("/proc/self/task"), threads_);  // it is stuck still
  stuck.end();
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, TheOtherSideGetsOurLastMessage) {
  Pair pair;
  pair.send(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  ASSERT_TRUE(send_message(pair.ours.get(), 'y'));
  pair.close();
  EXPECT_TRUE(threads_end());
  char byte = 0;
  EXPECT_TRUE(receive_message(pair.theirs.get(), byte));
  EXPECT_EQ(byte, 'y');
  EXPECT_EQ(::recv(pair.theirs.get(), &byte, 1, 0), 0);
}

TEST_F(StrangersFileTest, WhatIsPaidIsGivenBack) {
  DescriptorPlan plan;
  plan.pool = 100;
  DescriptorPool pool(plan);
  DescriptorShare share(pool, DescriptorShare::Group::kOnly);
  Pair pair;
  auto part = share.take(kAttacker, 5);
  ASSERT_TRUE(part);
  pair.ours.pay(std::move(*part));
  EXPECT_EQ(pool.left(), 95);
  pair.ours.pay_for_itself();
  EXPECT_EQ(pool.left(), 99);
  pair.send(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  pair.close();
  EXPECT_TRUE(comes([&] { return pool.left() == 100; }));
  LastCloses::all().forget_shares();
  EXPECT_EQ(LastCloses::all().unpaid(), 0U);
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, AUserWithTooManyStuckOnesWaitsAlone) {
  std::vector<std::unique_ptr<FileInStuckEpoll>> stuck;
  for (int i = 0; i < LastCloses::kMostOfOne + 1; ++i) {
    stuck.push_back(std::make_unique<FileInStuckEpoll>());
    if (!stuck.back()->made()) GTEST_SKIP() << "userfaultfd(2) is not allowed";
    {
      StrangersFile file;
      file.charge(kAttacker);
      file.hold(stuck.back()->take());
    }
    const bool taken = LastCloses::all().wait_until_taken(
        std::chrono::milliseconds(i < LastCloses::kMostOfOne ? 20000 : 500));
    EXPECT_EQ(taken, i < LastCloses::kMostOfOne);
  }
  EXPECT_EQ(LastCloses::all().unpaid(), 1U);
  {
    StrangersFile file;
    file.charge(1000);
    file.hold(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  }
  EXPECT_TRUE(comes([] { return LastCloses::all().unpaid() == 1; }));
  stuck.clear();
  EXPECT_TRUE(threads_end());
  EXPECT_EQ(LastCloses::all().unpaid(), 0U);
  EXPECT_EQ(entries_of("/proc/self/fd"), descriptors_);
}

TEST_F(StrangersFileTest, AQueueOfConnectionsIsDroppedElsewhere) {
  LingeringSocket lingering;
  if (!lingering.made()) GTEST_SKIP() << "no loopback";
  sockaddr_un address{};
  socklen_t size = 0;
  UniqueFd listening = listening_at(address, size);
  Pair visitor;
  visitor.theirs.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(visitor.theirs.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  visitor.send(lingering.take());
  const auto begin = Clock::now();
  end_listening(listening);
  EXPECT_LT(Clock::now() - begin, kAtOnce);
  EXPECT_FALSE(listening.valid());
  visitor.close();
  EXPECT_TRUE(threads_end());
}

TEST_F(StrangersFileTest, ASocketForBytesAloneRefusesFilesWhereTheKernelCan) {
  sockaddr_un address{};
  socklen_t size = 0;
  const UniqueFd listening = listening_at(address, size);
  refuse_files(listening);
  int passes = 1;
  socklen_t bytes = sizeof(passes);
  if (::getsockopt(listening.get(), SOL_SOCKET, SO_PASSRIGHTS, &passes, &bytes) != 0) {
    GTEST_SKIP() << "Linux 6.16";
  }
  EXPECT_EQ(passes, 0);
  const UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  const UniqueFd file(::eventfd(0, EFD_CLOEXEC));
  const auto sent = send_message(client.get(), 'x', std::array{file.get()});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error(), Errno(EPERM));
  EXPECT_TRUE(send_message(client.get(), 'x'));
}

TEST_F(StrangersFileTest, ASocketForBytesAloneTakesNoFiles) {
  Pair pair(SOCK_STREAM);
  std::array<char, 16> room{};
  errno = 0;
  EXPECT_EQ(receive_plain(pair.ours.fd(), room), -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(::send(pair.theirs.get(), "abc", 3, 0), 3);
  EXPECT_EQ(receive_plain(pair.ours.fd(), room), 3);
  EXPECT_EQ(room.at(2), 'c');
  ASSERT_EQ(::send(pair.theirs.get(), "abc", 3, 0), 3);
  pair.send(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  errno = 0;
  EXPECT_EQ(receive_plain(pair.ours.fd(), room), -1);
  EXPECT_EQ(errno, EBADMSG);
  pair.close();
  EXPECT_TRUE(threads_end());
}

}  // namespace
}  // namespace shmvisor
