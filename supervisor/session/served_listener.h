// ServedListener: a listener, the server that answers its calls, and the session that they are
// answered from, for as long as a thread may need it.
//
// Ownership: owns listener and server, shares the session. It may be destroyed where Server may.
// Thread rule: as Server.
#pragma once

#include <memory>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/notify/left_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/server.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class ServedListener {
 public:
  ServedListener(std::shared_ptr<Session> session, UniqueFd listener, WaitKind wait_kind,
                 const ServerOptions& options)
      : session_(std::move(session)),
        listener_(std::move(listener), wait_kind),
        server_(listener_, session_->namespaces(), session_->features(), options) {
    listener_.use_sync_wake_up(session_->features());
  }

  /// Goes on with calls that are noted in `slots`, borrowed, and notes those to come. Before the
  /// server starts.
  LeftCalls begin_with(CallSlots& slots) {
    listener_.note_calls_in(slots);
    LeftCalls left = go_on_with(listener_, slots.take_left());
    server_.begin_with(left.to_serve);
    return left;
  }

  [[nodiscard]] const Listener& listener() const { return listener_; }
  [[nodiscard]] Server& server() { return server_; }

 private:
  const std::shared_ptr<Session> session_;
  Listener listener_;
  Server server_;
};

}  // namespace shmvisor
