#include "supervisor/kernel/descriptor_message.h"

#include <cstring>

#include "policy/base/held_locks.h"

namespace shmvisor {
namespace {

using Control = DescriptorRoom<kMostDescriptors>;

}  // namespace

Result<void> send_bytes(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
  const auto sent = send_some(socket, bytes, fds, 0);
  if (!sent) return sent.error();
  return {};
}

Result<std::size_t> send_some(int socket, std::span<const std::byte> bytes,
                              std::span<const int> fds, int flags) {
  if (fds.size() > kMostDescriptors) return Errno(EINVAL);
  iovec data{};
  data.iov_base = const_cast<std::byte*>(bytes.data());
  data.iov_len = bytes.size();
  Control control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  if ((flags & MSG_DONTWAIT) == 0) HeldLocks::assert_may_wait();
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Errno::current();
  return static_cast<std::size_t>(sent);
}

Result<ReceivedDescriptors> receive_bytes(int socket, std::span<std::byte> bytes) {
  HeldLocks::assert_may_wait();
  HeldLocks::assert_may_wait();
  ReceivedDescriptors received;
  std::size_t count = 0;
  bool all_fit = true;
  int flags = 0;
  const ssize_t got = receive_some(socket, bytes, flags, [&](UniqueFd fd) {
    all_fit = all_fit && count < received.size();
    if (all_fit) received.at(count++) = std::move(fd);
  });
  if (got < 0) return Errno::current();
  if (got == 0) return Errno(ENOTCONN);
  if (!all_fit || static_cast<std::size_t>(got) != bytes.size() ||
      (flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Errno(EBADMSG);
  }
  return received;
}

}  // namespace shmvisor
