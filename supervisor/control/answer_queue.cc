#include "supervisor/control/answer_queue.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "supervisor/control/control_answer.h"
#include "supervisor/control/protocol.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// The thread of the last answer may be on its way out.
constexpr std::chrono::milliseconds kUntilThreadIsGone(1);

ControlAnswer answer(const ControlRequest& request, const std::vector<NamedSession>& sessions,
                     ClientLoad& load) {
  try {
    return answer_control_request(request, sessions, load);
  } catch (const std::exception&) {  // no memory, most likely
    return control::Refusal{"no-memory", "there is no memory for the answer"}.line();
  }
}

/// `update`: what is to be applied, where nothing is wrong.
std::string reload(const ReadSteering& read, std::optional<SteeringUpdate>& update) {
  try {
    update = read();
    if (update->problems.empty()) {
      return control::to_line({{"reply", "reload"},
                               {"rules", update->steering.rules.size()},
                               {"need_restart", update->need_restart}});
    }
    std::string text;
    for (const std::string& one : update->problems) text += (text.empty() ? "" : "; ") + one;
    update.reset();
    return control::Refusal{"bad-configuration", text}.line();
  } catch (const std::exception&) {  // no memory, most likely
    update.reset();
    return control::Refusal{"no-memory", "there is no memory for the configuration"}.line();
  }
}

}  // namespace

AnswerQueue::AnswerQueue(EventLoop& loop, KnownSessions sessions, Deliver deliver)
    : sessions_(std::move(sessions)),
      deliver_(std::move(deliver)),
      begin_again_(loop.timer([this] { begin_next(); })),
      answered_(loop, [this] { finish(); }) {}

void AnswerQueue::add(ClientNumber client, ControlRequest request,
                      std::shared_ptr<ClientLoad> load) {
  waiting_.push_back({client, std::move(request), std::move(load)});
  begin_again_.set_by(Clock::now());
}

void AnswerQueue::forget(ClientNumber client) {
  waiting_.remove_if([client](const Entry& entry) { return entry.client == client; });
}

void AnswerQueue::begin_next() {
  if (over_ || waiting_.empty() || under_way_ != nullptr) return;
  if (Clock::now() < rests_until_) {
    begin_again_.set_by(rests_until_);
    return;
  }
  auto result = std::make_shared<Answer>();
  // The sessions are let go before the task counts as ended.
  const bool reloads = read_ && std::holds_alternative<Reload>(waiting_.front().request);
  auto work = [result, request = waiting_.front().request, load = waiting_.front().load,
               sessions = sessions_(), read = reloads ? read_ : nullptr,
               tell = answered_.nudger()]() mutable {
    const auto began = Clock::now();
    if (read) {
      result->answer = reload(read, result->update);
    } else {
      result->answer = answer(request, sessions, *load);
    }
    sessions.clear();
    load.reset();
    result->took = Clock::now() - began;
    tell();
  };
  const auto started = task_.start(std::move(work));
  if (!started && started.error() == Errno(EBUSY)) {
    begin_again_.set_by(Clock::now() + kUntilThreadIsGone);
    return;
  }
  asking_ = waiting_.front().client;
  waiting_.pop_front();
  if (started) {
    under_way_ = std::move(result);
    return;
  }
  deliver_(asking_, control::Refusal{"no-thread", "no thread can be created to answer"}.line());
  begin_again_.set_by(Clock::now());
}

void AnswerQueue::finish() {
  if (under_way_ == nullptr) return;
  const auto finished = std::exchange(under_way_, nullptr);
  rests_until_ = Clock::now() + std::min<std::chrono::nanoseconds>(finished->took, kLongestRest);
  if (finished->update) apply_(finished->update->steering);
  deliver_(asking_, std::move(finished->answer));
  begin_next();
}

bool AnswerQueue::wait_for_end(std::chrono::milliseconds bound) {
  over_ = true;
  waiting_.clear();
  return task_.wait_for_end(bound);
}

}  // namespace shmvisor
