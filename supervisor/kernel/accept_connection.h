// accept(2) of a listening socket in a loop that other work goes through: what to do where it
// fails.
//
// The errors of accept(2) may be those of a security module or of a filter, and last. The
// connection then stays in the queue, and the socket readable: a loop that tried again at once
// would do nothing else.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <cerrno>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// The next connection, non-blocking. What its peer sends out of band is in line: such a byte may
/// carry files, and elsewhere neither a peek nor a read would show it. Errors: EAGAIN where nobody
/// waits; EINTR or ECONNABORTED where that happened again and again; any other may last.
inline Result<UniqueFd> accept_connection(const UniqueFd& listening) {
  constexpr int kMostTries = 16;
  for (int tries = 1;; ++tries) {
    UniqueFd connection(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) {
      const int on = 1;
      (void)::setsockopt(connection.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
      return connection;
    }
    // Of a connection that is gone, or of a signal: the next one may be there.
    if ((errno != EINTR && errno != ECONNABORTED) || tries == kMostTries) return Errno::current();
  }
}

}  // namespace shmvisor
