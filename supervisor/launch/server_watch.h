// ServerWatch: for a shmvisor that has joined: watches for the end of the serving shmvisor, which
// is reported once, and for the end of the last process under the command's filter.
//
// The latter shows at the listener, of which this object has a copy without receiving from it. The
// copy is closed when the server ends: no process would answer, and calls must fail rather than
// wait. After that only children of ours can be seen to live.
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

  /// Whether no process is left that the server serves, or served.
  [[nodiscard]] bool all_gone() const;

 private:
  void hear_server();

  const JoinConnection& server_;
  // While the server lives:
  std::optional<Listener> listener_;
  std::optional<LastProcess> last_process_;
  EventLoop::Source server_speaks_;
  bool all_served_ = false;  ///< the server said farewell
};

}  // namespace shmvisor
