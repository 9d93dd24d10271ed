#include "supervisor/join/join_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "supervisor/kernel/accept_connection.h"
#include "supervisor/resources/end_listening.h"

namespace shmvisor {
namespace {

constexpr int kBacklog = 64;
std::string trouble(const std::string& path, int error) {
  if (error == EADDRINUSE || error == EEXIST) {
    return "'" + path +
           "' is there already, and no socket that a server left behind; serve at another path, or "
           "--join it if another shmvisor serves there";
  }
  return "cannot listen at '" + path + "': " + std::strerror(error);
}

}  // namespace

Result<JoinSocket, std::string> JoinSocket::listen_at(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return trouble(path, errno);
  auto file = SocketFile::listen_at(path, fd, kBacklog);
  if (!file) return trouble(path, file.error().value());
  return JoinSocket(std::move(fd), std::move(*file));
}

Result<UniqueFd> JoinSocket::accept() const { return accept_connection(fd_); }

void JoinSocket::remove() {
  file_.remove();
  end_listening(fd_);
}

}  // namespace shmvisor
