#include "supervisor/resources/strangers_file.h"

#include <sys/socket.h>

#include <cerrno>

#include "supervisor/kernel/accept_connection.h"

namespace shmvisor {
namespace {

/// Whether it is a connection that has nothing to drop, nor ever will.
bool is_empty_connection(const UniqueFd& fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  // Fails for a socket that listens, or has no other side.
  if (::shutdown(fd.get(), SHUT_RDWR) != 0) return false;
  // An empty message looks like the end, but has a sender, for whom there is no room here.
  const int on = 1;
  if (type != SOCK_STREAM &&
      ::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return false;
  }
  // From the beginning, wherever somebody has peeked to.
  const int no_offset = -1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_PEEK_OFF, &no_offset, sizeof(no_offset));
  char byte = 0;
  iovec data{&byte, sizeof(byte)};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  ssize_t got = ::recvmsg(fd.get(), &header, MSG_PEEK | MSG_DONTWAIT);
  // Once, where the other side was closed with something of ours unread.
  if (got < 0 && errno == ECONNRESET) got = ::recvmsg(fd.get(), &header, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 && header.msg_flags == 0;
}

}  // namespace

StrangersFile StrangersFile::of(UniqueFd fd) {
  StrangersFile file;
  file.hold(std::move(fd));
  return file;
}

Result<StrangersFile> StrangersFile::accept(const UniqueFd& listening) {
  StrangersFile connection;
  auto accepted = accept_connection(listening);
  if (!accepted) return accepted.error();
  connection.hold(std::move(*accepted));
  return connection;
}

void StrangersFile::close() noexcept {
  if (!valid()) return;
  if (is_empty_connection(file_.front().fd)) return;
  LastCloses::all().add(file_);
}

}  // namespace shmvisor
