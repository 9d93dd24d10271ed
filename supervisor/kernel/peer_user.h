// The user at the other end of a Unix socket: SO_PEERCRED, unix(7).
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// Whether whoever connected, or listens, was root or our own effective user at that time.
[[nodiscard]] inline bool peer_is_root_or_ours(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

}  // namespace shmvisor
