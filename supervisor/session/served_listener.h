// ServedListener: a listener, the server that answers its calls, and the session that they are
// answered from, for as long as a thread may need it.
//
// Ownership: owns listener and server, shares the session; borrows a Listener::Borrowed. It may be
// destroyed where Server may. Thread rule: as Server.
#pragma once

#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "supervisor/notify/left_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/server.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class ServedListener {
 public:
  /// `file`: what a Listener is made of.
  template <typename File>
  ServedListener(std::shared_ptr<Session> session, File file, WaitKind wait_kind,
                 const ServerOptions& options)
      : session_(std::move(session)),
        listener_(std::move(file), wait_kind),
        server_(listener_, session_->namespaces(), session_->features(), options) {
    listener_.use(session_->features());
  }

  /// Goes on with those calls in `left` that are its own (CallSlots::take_left()), and notes those
  /// to come in `slots`, borrowed. Before the server starts. Whether some are to be served.
  bool begin_with(CallSlots& slots, std::span<const CallSlots::Left> left) {
    listener_.note_calls_in(slots);
    LeftCalls calls = go_on_with(listener_, left);
    if (calls.refused != 0) {
      spdlog::error(
          "{} calls were in service when a server died, and when the next one did: they fail with "
          "ENOMEM",
          calls.refused);
    }
    const bool some = !calls.to_serve.empty();
    server_.begin_with(std::move(calls.to_serve));
    return some;
  }

  /// See Listener.
  void keep_wait_kind_in(std::atomic<std::uint8_t>& place) { listener_.keep_wait_kind_in(place); }

  [[nodiscard]] const Listener& listener() const { return listener_; }
  [[nodiscard]] Server& server() { return server_; }

 private:
  const std::shared_ptr<Session> session_;
  Listener listener_;
  Server server_;
};

}  // namespace shmvisor
