#include "supervisor/control/answer_queue.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "supervisor/control/audited_request.h"
#include "supervisor/control/control_answer.h"
#include "supervisor/control/protocol.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

std::string no_memory() {
  return control::Refusal{"no-memory", "there is no memory for the answer"}.line();
}

ControlAnswer answer(const ControlRequest& request, const std::vector<NamedSession>& sessions,
                     ClientLoad& load) {
  try {
    return answer_control_request(request, sessions, load);
  } catch (const std::exception&) {  // no memory, most likely
    return no_memory();
  }
}

}  // namespace

AnswerQueue::AnswerQueue(EventLoop& loop, KnownSessions sessions, Deliver deliver, Tell tell)
    : sessions_(std::move(sessions)),
      deliver_(std::move(deliver)),
      tell_(std::move(tell)),
      begin_again_(loop.timer([this] { begin_next(); })),
      task_(loop, [this](std::optional<Answer>& answer) { finish(answer); }) {}

void AnswerQueue::add(ClientNumber client, ControlRequest request, std::shared_ptr<ClientLoad> load,
                      std::optional<AuditRecord> act) {
  waiting_.push_back({client, std::move(request), std::move(load), std::move(act)});
  begin_again_.set_by(Clock::now());
}

void AnswerQueue::forget(ClientNumber client) {
  waiting_.remove_if([client](const Entry& entry) { return entry.client == client; });
}

void AnswerQueue::begin_next() {
  if (over_ || waiting_.empty() || task_.under_way()) return;
  if (Clock::now() < rests_until_) {
    begin_again_.set_by(rests_until_);
    return;
  }
  const auto started =
      task_.begin([request = waiting_.front().request, load = waiting_.front().load,
                   sessions = sessions_()]() -> Answer {
        const auto began = Clock::now();
        ControlAnswer made = answer(request, sessions, *load);
        return {std::move(made), Clock::now() - began};
      });
  std::string refusal;
  if (!started) {
    refusal = control::Refusal{"no-thread", "no thread can be created to answer"}.line();
  }
  asking_ = waiting_.front().client;
  act_ = std::move(waiting_.front().act);
  waiting_.pop_front();
  if (started) return;
  begin_again_.set_by(Clock::now());
  conclude(std::move(refusal));
}

void AnswerQueue::conclude(ControlAnswer answer) {
  if (auto act = std::exchange(act_, std::nullopt)) {
    add_outcome(*act, answer.line);
    tell_(*act);
  }
  deliver_(asking_, std::move(answer));
}

void AnswerQueue::finish(std::optional<Answer>& answer) {
  if (!answer) answer = Answer{no_memory(), std::chrono::nanoseconds(0)};
  rests_until_ = Clock::now() + std::min<std::chrono::nanoseconds>(answer->took, kLongestRest);
  begin_again_.set_by(rests_until_);
  conclude(std::move(answer->answer));
}

bool AnswerQueue::wait_for_end(std::chrono::milliseconds bound) {
  over_ = true;
  waiting_.clear();
  return task_.wait_for_end(bound);
}

}  // namespace shmvisor
