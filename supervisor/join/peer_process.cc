#include "supervisor/join/peer_process.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "supervisor/credentials/accountable_user.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

#ifndef SO_PEERPIDFD
constexpr int SO_PEERPIDFD = 77;  // <asm-generic/socket.h>, Linux 6.5
#endif
constexpr uid_t kNobodyInSight = static_cast<uid_t>(-1);

UniqueFd pidfd_of(const UniqueFd& connection, const ucred& peer) {
  int pidfd = -1;
  socklen_t size = sizeof(pidfd);
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
    return UniqueFd(pidfd);
  }
  if (errno != ENOPROTOOPT || peer.pid == 0) return UniqueFd();
  UniqueFd opened(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
  const auto status = TaskStatus::read(peer.pid);
  return status && status->euid == peer.uid ? std::move(opened) : UniqueFd();
}

}  // namespace

PeerProcess PeerProcess::of(const UniqueFd& connection) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size);
  PeerProcess peer;
  peer.pidfd_ = pidfd_of(connection, credentials);
  peer.pid_ = credentials.pid;
  peer.user_ = credentials.uid;
  peer.payer_ = kNobodyInSight;
  if (peer.pid_ != 0) {
    const auto accountable = accountable_user_at_once(peer.pid_, peer.user_);
    if (accountable && peer.lives()) peer.payer_ = *accountable;
  }
  return peer;
}

bool PeerProcess::lives() const { return pidfd_.valid() && events_now(pidfd_.get(), POLLIN) == 0; }

}  // namespace shmvisor
