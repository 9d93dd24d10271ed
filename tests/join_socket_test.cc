// JoinSocket: the file that others find, and what was at its path before.
#include "supervisor/join/join_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "supervisor/kernel/socket_address.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

using Listening = Result<JoinSocket, std::string>;

/// Why there is no socket; empty where there is one.
std::string trouble_of(const Listening& listening) { return listening ? "" : listening.error(); }

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto address = SocketAddress::of(path);
  if (!address || ::connect(fd.get(), address->get(), SocketAddress::size_bytes()) != 0) fd.reset();
  return fd;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

TEST(JoinSocketTest, ItIsThereForAsLongAsItIsServed) {
  const ScratchFolder folder;
  const std::string path = folder.path("socket");
  const mode_t before = ::umask(0027);
  {
    Listening listening = JoinSocket::listen_at(path);
    ::umask(before);
    ASSERT_EQ(trouble_of(listening), "");
    const JoinSocket& socket = *listening;
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0750U) << "as the umask says";
    EXPECT_EQ(socket.accept().error(), Errno(EAGAIN)) << "nobody has come";
    const UniqueFd visitor = connect_to(path);
    ASSERT_TRUE(visitor.valid());
    const auto connection = socket.accept();
    ASSERT_TRUE(connection);
    const UniqueFd& accepted = *connection;
    EXPECT_NE(::fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_FALSE(exists(path));
}

TEST(JoinSocketTest, RemovedNobodyCanConnect) {
  const ScratchFolder folder;
  const std::string path = folder.path("socket");
  Listening listening = JoinSocket::listen_at(path);
  ASSERT_EQ(trouble_of(listening), "");
  listening->remove();
  EXPECT_FALSE(exists(path));
  EXPECT_EQ(trouble_of(JoinSocket::listen_at(path)), "");
}

TEST(JoinSocketTest, OneLeftBehindIsReplaced) {
  const ScratchFolder folder;
  const std::string path = folder.path("socket");
  const auto address = SocketAddress::of(path);
  UniqueFd left(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(left.get(), address->get(), SocketAddress::size_bytes()), 0);
  left.reset();
  ASSERT_TRUE(exists(path));
  const Listening listening = JoinSocket::listen_at(path);
  EXPECT_EQ(trouble_of(listening), "");
  EXPECT_TRUE(connect_to(path).valid());
}

TEST(JoinSocketTest, WhatIsNoSocketLeftBehindIsNotTouched) {
  const ScratchFolder folder;
  const std::string path = folder.path("socket");
  const Listening first = JoinSocket::listen_at(path);
  ASSERT_EQ(trouble_of(first), "");
  EXPECT_NE(trouble_of(JoinSocket::listen_at(path)).find("--join it"), std::string::npos);
  EXPECT_TRUE(connect_to(path).valid()) << "the first still serves";

  const std::string file = folder.path("file");
  std::ofstream(file) << "precious";
  EXPECT_NE(trouble_of(JoinSocket::listen_at(file)), "");
  std::string content;
  std::ifstream(file) >> content;
  EXPECT_EQ(content, "precious");

  // A link to a socket that nobody serves is somebody's link.
  const std::string stale = folder.path("stale");
  const auto address = SocketAddress::of(stale);
  UniqueFd left(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(left.get(), address->get(), SocketAddress::size_bytes()), 0);
  left.reset();
  const std::string link = folder.path("link");
  ASSERT_EQ(::symlink(stale.c_str(), link.c_str()), 0);
  EXPECT_NE(trouble_of(JoinSocket::listen_at(link)), "");
  EXPECT_TRUE(exists(link));
  EXPECT_TRUE(exists(stale));
}

TEST(JoinSocketTest, AnothersInItsPlaceStays) {
  const ScratchFolder folder;
  const std::string path = folder.path("socket");
  Listening first = JoinSocket::listen_at(path);
  ASSERT_EQ(trouble_of(first), "");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const Listening second = JoinSocket::listen_at(path);
  ASSERT_EQ(trouble_of(second), "");
  first->remove();
  EXPECT_TRUE(connect_to(path).valid());
}

TEST(JoinSocketTest, AFolderThatSomebodyHoldsIsNotWaitedForWithoutEnd) {
  const ScratchFolder folder;
  const UniqueFd held(::open(folder.path("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  EXPECT_EQ(trouble_of(JoinSocket::listen_at(folder.path("socket"))), "");
}

TEST(JoinSocketTest, PathsWhereNoneCanBe) {
  const ScratchFolder folder;
  EXPECT_NE(trouble_of(JoinSocket::listen_at("")), "");
  EXPECT_NE(trouble_of(JoinSocket::listen_at(folder.path(std::string(108, 'x')))), "");
  EXPECT_NE(trouble_of(JoinSocket::listen_at(folder.path("no/folder"))), "");
}

}  // namespace
}  // namespace shmvisor
