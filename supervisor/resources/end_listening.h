// How a listening socket ends that the next servers of a keeper know by its number.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include "policy/base/unique_fd.h"
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/kernel/accept_connection.h"

namespace shmvisor {

/// Nobody can connect any more, and whoever waits finds the connection closed. Without a keeper the
/// socket is closed; with one it stays open, since no other file may come to have its number.
inline void end_listening(UniqueFd& socket) {
  if (KeptDescriptors::current() == nullptr) {
    socket.reset();
    return;
  }
  ::shutdown(socket.get(), SHUT_RDWR);
  while (accept_connection(socket)) {
  }
  (void)socket.release();
}

}  // namespace shmvisor
