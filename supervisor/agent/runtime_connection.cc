#include "supervisor/agent/runtime_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {
namespace {

constexpr std::size_t kBytesAtOnce = std::size_t{16} * 1024;
/// As many as a message can have (SCM_MAX_FD of include/net/scm.h): the kernel would close what
/// does not fit, in our thread.
constexpr std::size_t kDescriptorsAtOnce = 253;

/// Here alone where there is no memory.
void close_aside(UniqueFd fd) noexcept {
  if (!fd.valid()) return;
  try {
    (void)StrangersFile::of(std::move(fd));
  } catch (const std::bad_alloc&) {
  }
}

/// False as well of one that has ended already; it is root's or ours, and no stranger.
bool lives_in_another_pid_namespace(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return true;
  if (peer.pid == 0) return true;
  const std::uint64_t theirs = namespace_inode(peer.pid, Namespace::kPid);
  return theirs != 0 && theirs != NamespaceIds::ours().pid;
}

}  // namespace

RuntimeConnection::RuntimeConnection(StrangersFile socket)
    : socket_(std::move(socket)),
      deadline_(std::chrono::steady_clock::now() + kPatience),
      has_other_pids_(lives_in_another_pid_namespace(socket_.fd())) {}

RuntimeConnection::~RuntimeConnection() { close_aside(std::move(listener_)); }

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
    const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Progress::kMore;
    if (got < 0) return refuse(std::string("it cannot be read: ") + std::strerror(errno));
    if (!take_descriptors(header))
      return refuse("it brings more than one descriptor, or none are left here");
    if (got == 0) return text_.empty() ? Progress::kNothing : refuse("it ends in the middle");
    if (text_.size() + static_cast<std::size_t>(got) > kMostBytes) return refuse("it is too long");
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

RuntimeConnection::Progress RuntimeConnection::refuse(std::string reason) {
  reason_ = std::move(reason);
  close_aside(std::move(listener_));
  return Progress::kRefused;
}

bool RuntimeConnection::take_descriptors(msghdr& header) {
  bool one_at_most = (header.msg_flags & MSG_CTRUNC) == 0;
  for_each_descriptor(header, [&](UniqueFd fd) {
    one_at_most = one_at_most && !listener_.valid();
    if (listener_.valid()) {
      close_aside(std::move(fd));
    } else {
      listener_ = std::move(fd);
    }
  });
  return one_at_most;
}

}  // namespace shmvisor
