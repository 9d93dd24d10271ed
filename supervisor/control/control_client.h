// ControlClient: one client of the control socket, as ControlServer has it.
//
// Thread rule: the loop's thread.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/audit/audit_log.h"
#include "supervisor/control/answer_queue.h"
#include "supervisor/control/contents_answer.h"
#include "supervisor/control/control_connection.h"
#include "supervisor/kernel/peer_user.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/session/reloader.h"

namespace shmvisor {

struct ControlClient {
  ControlClient(AnswerQueue::ClientNumber its_number, StrangersFile socket)
      : number(its_number),
        peer(peer_of(socket.fd()).value_or(ucred{0, AuditLog::kNobody, AuditLog::kNobody})),
        connection(std::move(socket)) {}

  /// Of one that follows: queues the lines that there is room for, before which `lost_before` calls
  /// were lost. Answers how many are lost to it, with these.
  std::uint64_t queue_lines(const std::vector<std::string>& lines, std::uint64_t lost_before);

  const AnswerQueue::ClientNumber number;
  const ucred peer;
  ControlConnection connection;
  const std::shared_ptr<ClientLoad> load = std::make_shared<ClientLoad>();
  bool waits_for_answer = false;
  Reloader::Reading waits_for_reading = 0;  ///< 0: none
  bool waits_for_upgrade = false;
  bool refused = false;  ///< what is queued is the last that it gets
  bool follows = false;
  std::uint64_t lost = 0;  ///< calls that it was not told of, nor their number
  EventLoop::Time heard_at = EventLoop::Clock::now();
  std::size_t taken_bytes = 0;  ///< when the deadline was set
  short watched_events = -1;
  EventLoop::Source watched = {};
  EventLoop::Timer late = {};

 private:
  void queue_lost_line();
};

}  // namespace shmvisor
