// ServerWatch: for a shmvisor whose command's calls another one serves: it watches for that one's
// end, which is told once, and for the end of the last process under the command's filter.
//
// That shows at the listener, of which it has a copy and never receives. The copy goes when the
// server ends: nobody would answer, and calls are to fail rather than wait. Who is left cannot be
// told any more then, but for children.
//
// Ownership: borrows the loop and the connection. Thread rule: the main thread.
#pragma once

#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/join/join_connection.h"
#include "supervisor/launch/last_process.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class ServerWatch {
 public:
  ServerWatch(EventLoop& loop, const JoinConnection& server, UniqueFd listener);

  /// Whether no process is left whom the server serves, or served.
  [[nodiscard]] bool all_gone() const;

 private:
  void hear_server();

  const JoinConnection& server_;
  // While somebody serves:
  std::optional<Listener> listener_;
  std::optional<LastProcess> last_process_;
  EventLoop::Source server_speaks_;
  bool all_served_ = false;  ///< the server took its leave
};

}  // namespace shmvisor
