#include "supervisor/agent/listening_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "supervisor/kernel/peer_user.h"
#include "supervisor/resources/end_listening.h"

namespace shmvisor {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kOwnerOnly = 0177;  // as a umask

using Trouble = ListeningSocket::Trouble;

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

std::string trouble(const std::string& path, int error) {
  if (error == EADDRINUSE) {
    return "another agent listens at " + path + "; end it, or listen elsewhere: --socket PATH";
  }
  if (error == EEXIST) return path + " is there and is no socket";
  return "cannot listen at " + path + ": " + std::strerror(error);
}

}  // namespace

Result<ListeningSocket, Trouble> ListeningSocket::make(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Trouble{trouble(path, errno)};
  const mode_t before = ::umask(kOwnerOnly);
  auto file = SocketFile::listen_at(path, fd, kBacklog);
  ::umask(before);
  if (!file) return Trouble{trouble(path, file.error().value())};
  return ListeningSocket(std::move(fd), std::move(*file));
}

Result<ListeningSocket, Trouble> ListeningSocket::take(UniqueFd socket) {
  if (socket_option(socket.get(), SO_DOMAIN) != AF_UNIX ||
      socket_option(socket.get(), SO_TYPE) != SOCK_STREAM ||
      socket_option(socket.get(), SO_ACCEPTCONN) != 1) {
    return Trouble{"the socket handed over is no listening unix stream socket"};
  }
  const int flags = ::fcntl(socket.get(), F_GETFL);
  ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK);
  return ListeningSocket(std::move(socket), {});
}

std::string ListeningSocket::address_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return {reinterpret_cast<const char*>(&address), std::min<std::size_t>(size, sizeof(address))};
}

/// An accepted connection has the address of the socket that it came to, unix(7).
bool ListeningSocket::has_accepted(int fd) const {
  return fd != fd_.get() && address_of(fd) == address_ && socket_option(fd, SO_ACCEPTCONN) == 0;
}

void ListeningSocket::end() {
  if (!file_.exists()) return;
  file_.remove();
  end_listening(fd_);
}

Result<StrangersFile> ListeningSocket::accept() const {
  auto connection = StrangersFile::accept(fd_);
  if (!connection) return connection;
  if (const auto peer = peer_of(connection->fd())) connection->charge(peer->uid);
  if (!peer_is_root_or_ours(connection->fd())) return StrangersFile();
  return connection;
}

}  // namespace shmvisor
