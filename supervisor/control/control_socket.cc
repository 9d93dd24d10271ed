#include "supervisor/control/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "supervisor/kernel/peer_user.h"
#include "supervisor/kernel/plain_receive.h"
#include "supervisor/resources/end_listening.h"

namespace shmvisor {
namespace {

/// Clients beyond ControlServer::kMostClients wait there.
constexpr int kBacklog = 128;
constexpr mode_t kOwnerOnly = 0600;

control::Trouble trouble(const std::string& path, int error) {
  if (error == EADDRINUSE) {
    return {"another run or agent serves " + path +
            "; choose another --name, or another --control PATH"};
  }
  if (error == EEXIST) return {path + " is there and is no socket"};
  return {"no control socket at " + path + ": " + std::strerror(error)};
}

}  // namespace

Result<ControlSocket, control::Trouble> ControlSocket::listen_at(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The file gets the mode of the socket's own inode: unix_bind_bsd() of net/unix/af_unix.c.
  if (!fd.valid() || ::fchmod(fd.get(), kOwnerOnly) != 0) return trouble(path, errno);
  refuse_files(fd);
  auto file = SocketFile::listen_at(path, fd, kBacklog);
  if (!file) return trouble(path, file.error().value());
  return ControlSocket(std::move(fd), std::move(*file));
}

Result<StrangersFile> ControlSocket::accept() const {
  auto connection = StrangersFile::accept(fd_);
  if (!connection) return connection;
  if (const auto peer = peer_of(connection->fd())) connection->charge(peer->uid);
  return connection;
}

void ControlSocket::remove() {
  file_.remove();
  end_listening(fd_);
}

}  // namespace shmvisor
