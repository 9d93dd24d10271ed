// The user at the other end of a Unix socket: SO_PEERCRED, unix(7).
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// Who connected, or listens, at that time; of a process that we cannot see the pid is 0. Nothing
/// where the kernel does not say.
[[nodiscard]] inline std::optional<ucred> peer_of(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

/// Whether whoever connected, or listens, was root or our own effective user at that time.
[[nodiscard]] inline bool peer_is_root_or_ours(const UniqueFd& socket) {
  const auto peer = peer_of(socket);
  return peer && (peer->uid == 0 || peer->uid == ::geteuid());
}

}  // namespace shmvisor
