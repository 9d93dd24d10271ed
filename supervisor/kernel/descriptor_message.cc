#include "supervisor/kernel/descriptor_message.h"

#include <cstring>

namespace shmvisor {
namespace {

using Control = DescriptorRoom<kMostDescriptors>;

/// Takes what came, also of a message that is refused.
bool take_descriptors(msghdr& header, ReceivedDescriptors& received) {
  std::size_t count = 0;
  bool all_fit = true;
  for_each_descriptor(header, [&](UniqueFd fd) {
    all_fit = all_fit && count < received.size();
    if (all_fit) received.at(count++) = std::move(fd);
  });
  return all_fit;
}

}  // namespace

Result<void> send_bytes(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
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
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Errno::current();
  return {};
}

Result<ReceivedDescriptors> receive_bytes(int socket, std::span<std::byte> bytes) {
  iovec data{};
  data.iov_base = bytes.data();
  data.iov_len = bytes.size();
  Control control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Errno::current();
  ReceivedDescriptors received;
  const bool all_fit = take_descriptors(header, received);
  if (got == 0) return Errno(ENOTCONN);
  if (!all_fit || static_cast<std::size_t>(got) != bytes.size() ||
      (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Errno(EBADMSG);
  }
  return received;
}

}  // namespace shmvisor
