// Messages with descriptors beside them, over a SOCK_SEQPACKET socket of AF_UNIX; unix(7).
//
// A message is one structure of bytes; both ends are the same program. A message of another size,
// one that was cut off, and one with more descriptors than there is room for are refused (EBADMSG),
// and their descriptors are closed.
//
// Errors besides: those of send(2) and recv(2); EAGAIN where a non-blocking socket has nothing;
// ENOTCONN at the end of the connection. Never EINTR.
// Ownership: the sender keeps the descriptors that it sends; the receiver owns those that it gets,
// with O_CLOEXEC.
// Thread rule: any thread; async-signal-safe.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

inline constexpr std::size_t kMostDescriptors = 2;
/// As many valid descriptors as came, then invalid ones.
using ReceivedDescriptors = std::array<UniqueFd, kMostDescriptors>;

Result<void> send_bytes(int socket, std::span<const std::byte> bytes, std::span<const int> fds);
/// Over a stream: how many bytes it took; the descriptors go with the first.
Result<std::size_t> send_some(int socket, std::span<const std::byte> bytes,
                              std::span<const int> fds, int flags);
Result<ReceivedDescriptors> receive_bytes(int socket, std::span<std::byte> bytes);

/// Room for the control message that carries so many descriptors.
template <std::size_t kCount>
union DescriptorRoom {
  std::array<char, CMSG_SPACE(kCount * sizeof(int))> bytes;
  cmsghdr align;
};

/// Calls `take` with each descriptor that came with a received message.
template <typename Take>
void for_each_descriptor(msghdr& header, Take take) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      take(UniqueFd(fd));
    }
  }
}

/// What recvmsg(2) answers, never EINTR, with the `flags` of what came. `take` gets the descriptors
/// that came along.
template <typename Take>
ssize_t receive_some(int socket, std::span<std::byte> bytes, int& flags, Take take) {
  iovec data{bytes.data(), bytes.size()};
  DescriptorRoom<kMostDescriptors> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got >= 0) for_each_descriptor(header, take);
  flags = header.msg_flags;
  return got;
}

template <typename Message>
Result<void> send_message(int socket, const Message& message, std::span<const int> fds = {}) {
  static_assert(std::is_trivially_copyable_v<Message>);
  return send_bytes(socket, std::as_bytes(std::span(&message, 1)), fds);
}

template <typename Message>
Result<ReceivedDescriptors> receive_message(int socket, Message& message) {
  static_assert(std::is_trivially_copyable_v<Message>);
  return receive_bytes(socket, std::as_writable_bytes(std::span(&message, 1)));
}

}  // namespace shmvisor
