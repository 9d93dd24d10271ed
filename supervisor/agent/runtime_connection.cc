#include "supervisor/agent/runtime_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {
namespace {

/// More than the kernel keeps together of what one call sends (unix_stream_sendmsg()): a look at a
/// part of that would bring its descriptors, and the next look would once more.
constexpr std::size_t kBytesAtOnce = std::size_t{64} * 1024;
/// The kernel closes descriptors that do not fit, and sets MSG_CTRUNC.
constexpr std::size_t kDescriptorsAtOnce = 4;

/// False as well of one that has ended already; it is root's or ours, and no stranger.
bool lives_in_another_pid_namespace(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return true;
  if (peer.pid == 0) return true;
  const std::uint64_t theirs = namespace_inode(peer.pid, Namespace::kPid);
  return theirs != 0 && theirs != NamespaceIds::ours().pid;
}

/// Whether what is to come can be looked at without being taken: from its beginning on, and on from
/// there with each look (unix(7), SO_PEEK_OFF).
bool may_look_first(const UniqueFd& socket) {
  const int from_here = 0;
  return KeptDescriptors::current() != nullptr &&
         ::setsockopt(socket.get(), SOL_SOCKET, SO_PEEK_OFF, &from_here, sizeof(from_here)) == 0;
}

}  // namespace

RuntimeConnection::RuntimeConnection(StrangersFile socket)
    : socket_(std::move(socket)),
      deadline_(std::chrono::steady_clock::now() + kPatience),
      has_other_pids_(lives_in_another_pid_namespace(socket_.fd())),
      looks_first_(may_look_first(socket_.fd())) {}

RuntimeConnection::Progress RuntimeConnection::read() {
  std::array<char, kBytesAtOnce> buffer;  // NOLINT: filled by recvmsg
  for (;;) {
    iovec data{buffer.data(), buffer.size()};
    DescriptorRoom<kDescriptorsAtOnce> control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    const ssize_t got = ::recvmsg(socket_.get(), &header,
                                  MSG_CMSG_CLOEXEC | MSG_DONTWAIT | (looks_first_ ? MSG_PEEK : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      take_what_was_seen();
      return Progress::kMore;
    }
    if (got < 0) return refuse(std::string("it cannot be read: ") + std::strerror(errno));
    if (!take_descriptors(header))
      return refuse("it brings more than one descriptor, or none are left here");
    if (got == 0) return text_.empty() ? Progress::kNothing : refuse("it ends in the middle");
    if (text_.size() + static_cast<std::size_t>(got) > kMostBytes) return refuse("it is too long");
    if (looks_first_) seen_bytes_ += static_cast<std::size_t>(got);
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    text_ += bytes;
    switch (scanner_.scan(bytes)) {
      case ObjectScanner::Found::kMore:
        continue;
      case ObjectScanner::Found::kGarbage:
        return refuse("it is not one JSON object");
      case ObjectScanner::Found::kEnd:
        if (!listener_.valid()) return refuse("it brings no descriptor");
        if (!is_seccomp_listener(listener_)) return refuse("its descriptor is no seccomp listener");
        return Progress::kComplete;
    }
  }
}

/// Without room for descriptors, of which we have ours.
void RuntimeConnection::take_what_was_seen() {
  std::array<char, kBytesAtOnce> buffer;  // NOLINT: filled by recv
  while (seen_bytes_ > 0) {
    const std::size_t wanted = std::min(seen_bytes_, buffer.size());
    const ssize_t got = ::recv(socket_.get(), buffer.data(), wanted, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    seen_bytes_ -= static_cast<std::size_t>(got);
  }
}

RuntimeConnection::Progress RuntimeConnection::refuse(std::string reason) {
  reason_ = std::move(reason);
  listener_.reset();
  return Progress::kRefused;
}

bool RuntimeConnection::take_descriptors(msghdr& header) {
  bool one_at_most = (header.msg_flags & MSG_CTRUNC) == 0;
  for_each_descriptor(header, [&](UniqueFd fd) {
    one_at_most = one_at_most && !listener_.valid();
    if (!listener_.valid()) listener_ = std::move(fd);
  });
  return one_at_most;
}

}  // namespace shmvisor
