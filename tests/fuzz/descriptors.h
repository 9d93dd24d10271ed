// What fuzz targets need of sockets and descriptors.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <span>

#include "supervisor/kernel/descriptor_message.h"

namespace shmvisor {

/// How many of the lowest 256 descriptors are open: what an input leaks, most of all.
inline int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

/// Sends what is given, whatever becomes of it.
inline void send_anyhow(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
  constexpr std::size_t kMost = 16;
  iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
  DescriptorRoom<kMost> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fds.size() > kMost) std::abort();
  if (!fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  (void)::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace shmvisor
