// Messages with descriptors beside them, over a SOCK_SEQPACKET socket of AF_UNIX; unix(7).
//
// A message is one structure of bytes, the same program at both ends. What does not have its size,
// was cut off, or carries more descriptors than there is room for, is no message (EBADMSG), and
// its descriptors are closed.
//
// Errors besides: those of send(2) and recv(2); EAGAIN where a socket that does not block has
// nothing; ENOTCONN at the end of the connection. EINTR is not told.
// Ownership: what is sent stays the sender's; what is received is the receiver's, with O_CLOEXEC.
// Thread rule: any thread; async-signal-safe.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

inline constexpr std::size_t kMostDescriptors = 2;
/// The first ones are valid, as many as came.
using ReceivedDescriptors = std::array<UniqueFd, kMostDescriptors>;

Result<void> send_bytes(int socket, std::span<const std::byte> bytes, std::span<const int> fds);
Result<ReceivedDescriptors> receive_bytes(int socket, std::span<std::byte> bytes);

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
