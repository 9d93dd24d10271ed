// ServedListener: a listener, the server that answers its calls, and the session from which they
// are answered. All three live as long as a serving thread may need them.
//
// Ownership: owns listener and server, shares the session; borrows a Listener::Borrowed. It may be
// destroyed when Server may. Thread rule: that of Server.
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

  /// Takes over those calls in `left` that belong to this listener (CallSlots::take_left()), and
  /// notes later calls in `slots`, borrowed. To be called before the server starts. Returns whether
  /// some of the calls are to be served.
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
