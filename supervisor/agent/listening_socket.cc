#include "supervisor/agent/listening_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace shmvisor {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kOwnerOnly = 0177;  // as a umask

using Trouble = ListeningSocket::Trouble;

std::string with_reason(const std::string& text) { return text + ": " + std::strerror(errno); }

UniqueFd make_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/// Removes a socket's file whose owner is gone. Empty, or why it stays.
std::string clear_place(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return "";
  if (!S_ISSOCK(status.st_mode)) return path + " is there and is no socket";
  const UniqueFd probe = make_socket();
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno != ECONNREFUSED) {
    return path + " is somebody's who serves it";
  }
  return ::unlink(path.c_str()) == 0 ? "" : with_reason("cannot remove the old " + path);
}

}  // namespace

std::variant<ListeningSocket, Trouble> ListeningSocket::make(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Trouble{"the socket's path must have 1 to 107 bytes"};
  }
  path.copy(address.sun_path, path.size());
  if (std::string trouble = clear_place(path, address); !trouble.empty()) return Trouble{trouble};
  UniqueFd fd = make_socket();
  const mode_t before = ::umask(kOwnerOnly);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(before);
  if (bound != 0) return Trouble{with_reason("cannot make the socket " + path)};
  ListeningSocket made(std::move(fd), path);
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
  return ListeningSocket(std::move(socket), "");
}

ListeningSocket::ListeningSocket(UniqueFd fd, std::string path)
    : fd_(std::move(fd)), path_(std::move(path)) {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, "")),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket::~ListeningSocket() {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
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
