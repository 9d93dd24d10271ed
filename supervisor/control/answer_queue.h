// AnswerQueue: answers clients' requests beside the main loop, one at a time.
//
// To count attaches takes a walk through /proc, so no answer is made in the loop. A client that
// asks again and again must not cost supervised calls much: after each answer the queue rests as
// long as that took, up to kLongestRest.
//
// Errors: where no thread can be created, or memory is short, the client gets a refusal. Ownership:
// borrows the loop. It may be destroyed once wait_for_end() has succeeded. Thread rule: the loop's
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/audit/audit_record.h"
#include "supervisor/control/contents_answer.h"
#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/loop_task.h"

namespace shmvisor {

class AnswerQueue {
 public:
  static constexpr std::chrono::milliseconds kLongestRest{50};

  using ClientNumber = std::uint64_t;
  /// Gets the answer, a whole line.
  using Deliver = std::function<void(ClientNumber, ControlAnswer)>;
  /// Gets an act, with what came of it.
  using Tell = std::function<void(const AuditRecord&)>;

  AnswerQueue(EventLoop& loop, KnownSessions sessions, Deliver deliver, Tell tell);

  [[nodiscard]] bool valid() const { return task_.valid(); }
  /// Delivers nothing yet: that is done by the loop. `load`: what the client has allocated. `act`:
  /// the request's, where somebody is to be told of it.
  void add(ClientNumber client, ControlRequest request, std::shared_ptr<ClientLoad> load,
           std::optional<AuditRecord> act = std::nullopt);
  /// What this client asked and what is not begun yet is not answered. For a client that has left:
  /// the queue would grow without bound with those who ask and leave.
  void forget(ClientNumber client);
  /// Requests that are not begun yet.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// Begins no answer more, and waits for the one under way. False where that takes longer.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  struct Entry {
    ClientNumber client = 0;
    ControlRequest request;
    std::shared_ptr<ClientLoad> load;
    std::optional<AuditRecord> act;
  };
  struct Answer {
    ControlAnswer answer{std::string()};
    std::chrono::nanoseconds took{0};
  };

  void begin_next();
  void finish(std::optional<Answer>& answer);
  void conclude(ControlAnswer answer);

  const KnownSessions sessions_;
  const Deliver deliver_;
  const Tell tell_;
  std::list<Entry> waiting_;
  ClientNumber asking_ = 0;
  std::optional<AuditRecord> act_;  ///< of what is under way
  EventLoop::Time rests_until_;
  bool over_ = false;
  EventLoop::Timer begin_again_;
  LoopTask<Answer> task_;
};

}  // namespace shmvisor
