// Sockets of AF_UNIX that want bytes alone. Whoever may write to one may send files along, and who
// drops these may wait for as long as their sender likes (closing_process.h).
//
// From Linux 6.16 on the kernel refuses to send them (EPERM). Before, a connection that has some is
// not read any further; its owner closes it as a StrangersFile.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <span>

#include "policy/base/unique_fd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83  // <asm-generic/socket.h>, Linux 6.16
#endif

namespace shmvisor {

/// Of a socket that listens: of all connections that are made from now on.
inline void refuse_files(const UniqueFd& socket) {
  const int off = 0;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

/// recv(2) without waiting. EBADMSG where files come with what is next.
inline ssize_t receive_plain(const UniqueFd& socket, std::span<char> room) {
  iovec data{room.data(), room.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  const ssize_t there = ::recvmsg(socket.get(), &header, MSG_PEEK | MSG_DONTWAIT);
  if (there <= 0) return there;
  // A look stops behind the first files, which it does not open without room for them.
  if ((static_cast<unsigned>(header.msg_flags) & MSG_CTRUNC) != 0) {
    errno = EBADMSG;
    return -1;
  }
  return ::recv(socket.get(), room.data(), static_cast<std::size_t>(there), MSG_DONTWAIT);
}

}  // namespace shmvisor
