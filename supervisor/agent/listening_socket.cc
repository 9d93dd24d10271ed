#include "supervisor/agent/listening_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace shmvisor {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kOwnerOnly = 0177;  // as a umask

using Trouble = ListeningSocket::Trouble;

std::string with_reason(const std::string& text) { return text + ": " + std::strerror(errno); }

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/// Removes a socket's file whose owner is gone. Empty, or why it stays.
std::string clear_place(const std::string& path, const SocketAddress& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return "";
  if (!S_ISSOCK(status.st_mode)) return path + " is there and is no socket";
  if (!is_deserted(address, SOCK_STREAM)) return path + " is somebody's who serves it";
  return ::unlink(path.c_str()) == 0 ? "" : with_reason("cannot remove the old " + path);
}

}  // namespace

std::variant<ListeningSocket, Trouble> ListeningSocket::make(const std::string& path) {
  const auto address = SocketAddress::of(path);
  if (!address) return Trouble{"the socket's path must have 1 to 107 bytes"};
  if (std::string trouble = clear_place(path, *address); !trouble.empty()) return Trouble{trouble};
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t before = ::umask(kOwnerOnly);
  const int bound = ::bind(fd.get(), address->get(), SocketAddress::size_bytes());
  ::umask(before);
  if (bound != 0) return Trouble{with_reason("cannot make the socket " + path)};
  ListeningSocket made(std::move(fd), SocketFile(path));
  if (::listen(made.fd(), kBacklog) != 0) return Trouble{with_reason("cannot listen at " + path)};
  return made;
}

std::variant<ListeningSocket, Trouble> ListeningSocket::take(UniqueFd socket) {
  if (socket_option(socket.get(), SO_DOMAIN) != AF_UNIX ||
      socket_option(socket.get(), SO_TYPE) != SOCK_STREAM ||
      socket_option(socket.get(), SO_ACCEPTCONN) != 1) {
    return Trouble{"the socket handed over is no listening unix stream socket"};
  }
  const int flags = ::fcntl(socket.get(), F_GETFL);
  ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK);
  return ListeningSocket(std::move(socket), {});
}

Result<UniqueFd> ListeningSocket::accept() const {
  UniqueFd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection.valid()) return Errno::current();
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != 0 && peer.uid != ::geteuid())) {
    return Errno(EPERM);
  }
  return connection;
}

}  // namespace shmvisor
