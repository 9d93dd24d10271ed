// RuntimeConnection, with the test as the runtime.
#include "supervisor/agent/runtime_connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "supervisor/resources/last_closes.h"
#include "tests/stranger.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

using Progress = RuntimeConnection::Progress;

class RuntimeConnectionTest : public ::testing::Test {
 protected:
  RuntimeConnectionTest() {
    // What the test before has left.
    EXPECT_TRUE(LastCloses::all().wait_until_taken(std::chrono::seconds(20)));
    reconnect();
  }

  void reconnect() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    runtime_.reset(ends[0]);
    connection_ = std::make_unique<RuntimeConnection>(StrangersFile::of(UniqueFd(ends[1])));
  }

  void send(const std::string& text, const std::vector<int>& fds = {}) {
    iovec data{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
      header.msg_control = control.data();
      header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* const part = CMSG_FIRSTHDR(&header);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(runtime_.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  static int count_descriptors() {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  }

  [[nodiscard]] int bytes_left() const {
    int bytes = -1;
    EXPECT_EQ(::ioctl(connection_->fd(), FIONREAD, &bytes), 0);
    return bytes;
  }

  /// Another process closes them.
  static void expect_descriptors(int expected) {
    for (int looks = 0; looks < 2000 && count_descriptors() != expected; ++looks) ::usleep(5000);
    EXPECT_EQ(count_descriptors(), expected);
  }

  UniqueFd runtime_;
  std::unique_ptr<RuntimeConnection> connection_;
};

TEST_F(RuntimeConnectionTest, AWholeMessageInPiecesThatIsHeldOpen) {
  SupervisedChild child([] { return 0; });
  ASSERT_EQ(child.trouble(), "");
  EXPECT_EQ(connection_->read(), Progress::kMore);
  send("{\"a\":", {child.listener().fd()});
  EXPECT_EQ(connection_->read(), Progress::kMore);
  send("1}");
  EXPECT_EQ(connection_->read(), Progress::kComplete) << connection_->reason();
  EXPECT_EQ(connection_->text(), "{\"a\":1}");
  const UniqueFd& listener = connection_->listener().fd();
  EXPECT_TRUE(is_seccomp_listener(listener));
  EXPECT_NE(::fcntl(listener.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(RuntimeConnectionTest, AMessageSplitAnywhere) {
  SupervisedChild child([] { return 0; });
  ASSERT_EQ(child.trouble(), "");
  const std::string text =
      R"({"ociVersion":"1.0","fds":["seccompFd"],"pid":7,"metadata":"group=\"}{\\",)"
      R"("state":{"ociVersion":"1.0","id":"c","status":"creating","pid":7,"bundle":"/b"}})"
      "\n";
  const std::vector<int> fds{child.listener().fd()};
  for (const bool late : {false, true}) {  // the descriptor, beside the second part
    for (std::size_t split = 1; split + 2 < text.size(); ++split) {
      reconnect();
      send(text.substr(0, split), late ? std::vector<int>() : fds);
      ASSERT_EQ(connection_->read(), Progress::kMore) << split;
      send(text.substr(split), late ? fds : std::vector<int>());
      ASSERT_EQ(connection_->read(), Progress::kComplete) << split << connection_->reason();
      EXPECT_EQ(connection_->text(), text);
      EXPECT_TRUE(is_seccomp_listener(connection_->listener().fd()));
    }
  }
}

// Of a keeper: whoever reads the connection next finds a message that was not seen to.
TEST_F(RuntimeConnectionTest, AMessageThatIsLookedAtIsThereForTheNext) {
  SupervisedChild child([] { return 0; });
  ASSERT_EQ(child.trouble(), "");
  send("{\"a\":1}", {child.listener().fd()});
  EXPECT_EQ(connection_->read(), Progress::kComplete) << connection_->reason();
  // Not destroyed meanwhile, as a server that dies is not.
  std::vector<std::unique_ptr<RuntimeConnection>> servers;
  for (int i = 0; i < 2; ++i) {
    const int same = ::fcntl(connection_->fd(), F_DUPFD_CLOEXEC, 0);
    servers.push_back(std::make_unique<RuntimeConnection>(StrangersFile::of(UniqueFd(same))));
    ASSERT_EQ(servers.back()->read(), Progress::kComplete) << servers.back()->reason();
    EXPECT_EQ(servers.back()->text(), "{\"a\":1}");
    EXPECT_TRUE(is_seccomp_listener(servers.back()->listener().fd()));
  }
  servers.back()->take_what_was_seen();
  char byte = 0;
  EXPECT_EQ(::recv(connection_->fd(), &byte, 1, MSG_DONTWAIT), -1) << "it was taken";
  // One that is not complete is taken: else it would be readable all the time.
  reconnect();
  send("{\"a\":", {child.listener().fd()});
  EXPECT_EQ(connection_->read(), Progress::kMore);
  EXPECT_EQ(::recv(connection_->fd(), &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
  send("1}");
  EXPECT_EQ(connection_->read(), Progress::kComplete) << connection_->reason();
  EXPECT_TRUE(is_seccomp_listener(connection_->listener().fd()));
}

TEST_F(RuntimeConnectionTest, NothingAtAll) {
  runtime_.reset();
  EXPECT_EQ(connection_->read(), Progress::kNothing);
}

TEST_F(RuntimeConnectionTest, TheEndInTheMiddle) {
  send("{\"a\"");
  runtime_.reset();
  EXPECT_EQ(connection_->read(), Progress::kRefused);
  EXPECT_EQ(connection_->reason(), "it ends in the middle");
}

TEST_F(RuntimeConnectionTest, DescriptorsThatAreRefusedAreClosed) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int before = count_descriptors();
  send("{", {file.get()});
  EXPECT_EQ(connection_->read(), Progress::kMore);
  send("}", {file.get()});
  EXPECT_EQ(connection_->read(), Progress::kRefused) << "a second one, later";
  connection_.reset();
  expect_descriptors(before - 1);  // its own socket
}

TEST_F(RuntimeConnectionTest, MoreDescriptorsThanThereIsRoomFor) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int before = count_descriptors();
  send("{}", std::vector<int>(8, file.get()));
  EXPECT_EQ(connection_->read(), Progress::kRefused);
  connection_->take_what_was_seen();
  EXPECT_EQ(bytes_left(), 2) << "what it does not have is closed nowhere but with the connection";
  connection_.reset();
  expect_descriptors(before - 1);
}

// As what is beyond the limit of a process.
TEST_F(RuntimeConnectionTest, DescriptorsForWhichNoNumberIsLeft) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  send("{}", {file.get()});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(connection_->read(), Progress::kRefused);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  connection_->take_what_was_seen();
  EXPECT_EQ(bytes_left(), 2);
}

// The last close of one waits for a process that does not go on: none is closed in this thread.
TEST_F(RuntimeConnectionTest, DescriptorsThatNobodyCanCloseKeepNobody) {
  for (const int surplus : {0, 1, 2, 5}) {
    FileInStuckEpoll stuck;
    if (!stuck.made()) GTEST_SKIP() << "userfaultfd(2) is not allowed";
    ::alarm(60);
    reconnect();
    {
      const UniqueFd file = stuck.take();
      const std::string text = surplus == 0 ? "{}" : "{";
      std::vector<UniqueFd> others;
      std::vector<int> files;
      for (int i = 0; i < surplus; ++i) {
        others.emplace_back(::eventfd(0, EFD_CLOEXEC));
        files.push_back(others.back().get());
      }
      files.push_back(file.get());
      // The last that is open is on its way to the other side then.
      send(text, files);
    }
    EXPECT_EQ(connection_->read(), Progress::kRefused) << surplus;
    connection_->take_what_was_seen();
    connection_.reset();
    stuck.end();
    EXPECT_TRUE(LastCloses::all().wait_until_taken(std::chrono::seconds(20)));
    ::alarm(0);
  }
}

TEST_F(RuntimeConnectionTest, AnotherKindOfDescriptor) {
  const UniqueFd event(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(is_seccomp_listener(event));
  EXPECT_FALSE(is_seccomp_listener(UniqueFd()));
  send("{}", {event.get()});
  EXPECT_EQ(connection_->read(), Progress::kRefused);
  EXPECT_EQ(connection_->reason(), "its descriptor is no seccomp listener");
}

TEST_F(RuntimeConnectionTest, DescriptorsThatLookLikeAListener) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd others[] = {
      UniqueFd(ends[0]),
      UniqueFd(ends[1]),
      UniqueFd(::epoll_create1(EPOLL_CLOEXEC)),
      UniqueFd(::eventfd(0, EFD_CLOEXEC)),
      UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))),
      // /proc shows its name as "/memfd:anon_inode:seccomp notify (deleted)".
      UniqueFd(::memfd_create("anon_inode:seccomp notify", MFD_CLOEXEC)),
  };
  for (const UniqueFd& other : others) {
    ASSERT_TRUE(other.valid());
    reconnect();
    send("{}", {other.get()});
    EXPECT_EQ(connection_->read(), Progress::kRefused);
    EXPECT_EQ(connection_->reason(), "its descriptor is no seccomp listener");
  }
}

TEST_F(RuntimeConnectionTest, MoreThanAMessageMayHave) {
  send("{\"a\":\"");
  const std::string much(std::size_t{64} * 1024, 'x');
  Progress progress = Progress::kMore;
  for (std::size_t sent = 0; sent <= RuntimeConnection::kMostBytes && progress == Progress::kMore;
       sent += much.size()) {
    send(much);
    progress = connection_->read();
  }
  EXPECT_EQ(progress, Progress::kRefused);
  EXPECT_EQ(connection_->reason(), "it is too long");
}

}  // namespace
}  // namespace shmvisor
