#include "supervisor/agent/runtime_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/peer_user.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {
namespace {

/// More than the kernel keeps together of what one call sends (unix_stream_sendmsg(): 36 KiB, and
/// 104 where pages have 64 KiB): a look at a part of that would bring its descriptors, and the next
/// look would once more.
constexpr std::size_t kBytesAtOnce = std::size_t{128} * 1024;
/// A look leaves all descriptors in the message, and sets MSG_CTRUNC where it brings copies of some
/// alone.
constexpr std::size_t kDescriptorsAtOnce = 2;

/// False as well of one that has ended already; it is root's or ours, and no stranger.
bool lives_in_another_pid_namespace(const std::optional<ucred>& peer) {
  if (!peer || peer->pid == 0) return true;
  const std::uint64_t theirs = namespace_inode(peer->pid, Namespace::kPid);
  return theirs != 0 && theirs != NamespaceIds::ours().pid;
}

}  // namespace

RuntimeConnection::RuntimeConnection(StrangersFile socket)
    : socket_(std::move(socket)),
      deadline_(std::chrono::steady_clock::now() + kPatience),
      has_other_pids_(lives_in_another_pid_namespace(peer_of(socket_.fd()))) {
  if (const auto peer = peer_of(socket_.fd())) {
    listener_.charge(peer->uid);
    for (StrangersFile& file : surplus_) file.charge(peer->uid);
  }
  // Looks begin where the last one ended. A UNIX socket has this since Linux 3.4.
  const int from_here = 0;
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_PEEK_OFF, &from_here, sizeof(from_here)) != 0) {
    reason_ = std::string("it cannot be looked at: ") + std::strerror(errno);
  }
}

RuntimeConnection::Progress RuntimeConnection::read() {
  if (!reason_.empty()) return Progress::kRefused;
  std::array<char, kBytesAtOnce> buffer;  // NOLINT: filled by recvmsg
  for (;;) {
    iovec data{buffer.data(), buffer.size()};
    DescriptorRoom<kDescriptorsAtOnce> control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    const ssize_t got =
        ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_PEEK);
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
    seen_bytes_ += static_cast<std::size_t>(got);
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    text_ += bytes;
    switch (scanner_.scan(bytes)) {
      case ObjectScanner::Found::kMore:
        continue;
      case ObjectScanner::Found::kGarbage:
        return refuse("it is not one JSON object");
      case ObjectScanner::Found::kEnd:
        if (!listener_.valid()) return refuse("it brings no descriptor");
        if (!is_seccomp_listener(listener_.fd()))
          return refuse("its descriptor is no seccomp listener");
        return Progress::kComplete;
    }
  }
}

/// Without room for descriptors, of which we have ours.
void RuntimeConnection::take_what_was_seen() {
  if (!has_all_files_) return;
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
  return Progress::kRefused;
}

bool RuntimeConnection::take_descriptors(msghdr& header) {
  bool one_at_most = true;
  if ((header.msg_flags & MSG_CTRUNC) != 0) has_all_files_ = one_at_most = false;
  for_each_descriptor(header, [&](UniqueFd fd) {
    if (!listener_.valid()) return listener_.hold(std::move(fd));
    one_at_most = false;
    // There are no more looks after this one.
    surplus_.at(surplus_.front().valid() ? 1 : 0).hold(std::move(fd));
  });
  return one_at_most;
}

}  // namespace shmvisor
