// A file system whose files cannot be closed, in a process of its own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/procfiles/fuse_mount.h"

namespace shmvisor {

/// A file of a file system that answers everything but the request to flush it, which close(2)
/// waits for. All of it ends with this object.
class FileThatCannotBeClosed {
 public:
  FileThatCannotBeClosed() {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd theirs(pair[1]);
    file_system_ = ::fork();
    if (file_system_ == 0) {
      FuseMount fuse;
      if (fuse.make("0", "0").failed()) ::_exit(1);
      (void)send_message(theirs.get(), 'x', std::array{fuse.mount.get()});
      serve(fuse.connection.get());
    }
    const UniqueFd ours(pair[0]);
    pollfd made{ours.get(), POLLIN, 0};
    if (::poll(&made, 1, 5000) != 1) return;
    char byte = 0;
    if (auto received = receive_message(ours.get(), byte)) mount_ = std::move(received->at(0));
  }
  FileThatCannotBeClosed(const FileThatCannotBeClosed&) = delete;
  FileThatCannotBeClosed& operator=(const FileThatCannotBeClosed&) = delete;
  ~FileThatCannotBeClosed() { end(); }
  /// Those who wait for it go on.
  void end() {
    if (file_system_ <= 0) return;
    ::kill(file_system_, SIGKILL);
    ::waitpid(std::exchange(file_system_, -1), nullptr, 0);
  }

  [[nodiscard]] bool made() const { return mount_.valid(); }
  [[nodiscard]] UniqueFd open() const {
    return UniqueFd(::openat(mount_.get(), "file", O_RDONLY | O_CLOEXEC));
  }

 private:
  [[noreturn]] static void serve(int connection) {
    std::array<char, 1 << 17> request;  // NOLINT: filled by read
    for (;;) {
      fuse_in_header in{};
      const ssize_t got = ::read(connection, request.data(), request.size());
      if (got < static_cast<ssize_t>(sizeof(in))) continue;
      std::memcpy(&in, request.data(), sizeof(in));
      fuse_init_out init{};
      init.major = FUSE_KERNEL_VERSION;
      init.minor = 31;
      init.max_write = 4096;
      fuse_entry_out entry{};
      entry.nodeid = entry.attr.ino = 2;
      entry.attr.mode = S_IFREG | 0644;
      entry.attr.nlink = 1;
      entry.entry_valid = entry.attr_valid = 1000;
      fuse_open_out opened{};
      if (in.opcode == FUSE_FLUSH || in.opcode == FUSE_FORGET) continue;
      if (in.opcode == FUSE_INIT) {
        answer(connection, in.unique, init);
      } else if (in.opcode == FUSE_LOOKUP) {
        answer(connection, in.unique, entry);
      } else if (in.opcode == FUSE_OPEN) {
        answer(connection, in.unique, opened);
      } else {
        const fuse_out_header out{sizeof(out), -ENOSYS, in.unique};
        (void)!::write(connection, &out, sizeof(out));
      }
    }
  }
  template <typename Body>
  static void answer(int connection, std::uint64_t unique, Body body) {
    fuse_out_header out{sizeof(out) + sizeof(body), 0, unique};
    const std::array<iovec, 2> parts{iovec{&out, sizeof(out)}, iovec{&body, sizeof(body)}};
    (void)!::writev(connection, parts.data(), parts.size());
  }

  pid_t file_system_ = -1;
  UniqueFd mount_;
};

}  // namespace shmvisor
