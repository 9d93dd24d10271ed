// How a listening socket ends, whose queue may hold connections with files of strangers, and which
// the next servers of a keeper know by its number.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <new>

#include "policy/base/unique_fd.h"
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

/// Nobody can connect any more, and connections that wait to be accepted are closed. Without a
/// keeper the socket is closed; with one it stays open, since no other file may come to have its
/// number.
inline void end_listening(UniqueFd& socket) noexcept {
  ::shutdown(socket.get(), SHUT_RDWR);
  try {
    while (StrangersFile::accept(socket)) {
    }
  } catch (const std::bad_alloc&) {  // they are closed with it
  }
  if (KeptDescriptors::current() == nullptr) {
    socket.reset();
  } else {
    (void)socket.release();
  }
}

}  // namespace shmvisor
