#include "supervisor/launch/group_signals.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

constexpr std::chrono::milliseconds kBetweenLooks(20);
/// Of a witness that gets no CPU.
constexpr int kMostSilences = 20;
/// Signals for the group that have not come to us. Those that have are taken out at once.
constexpr std::size_t kMostForGroup = 4096;

/// A signal that was read is not read again: what there is no memory for is left out, and the rest
/// is done.
template <typename Step>
void as_memory_allows(Step step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                "out of memory: a signal may not be passed on, or may come twice");
  }
}

}  // namespace

GroupSignals::GroupSignals(EventLoop& loop, Deliver deliver, std::function<void()> answered)
    : loop_(loop),
      deliver_(std::move(deliver)),
      answered_(std::move(answered)),
      silent_(loop.timer([this] { see_silence(); })),
      again_(loop.timer([this] { replace_witness(); })) {
  waiting_.reserve(kMostWaiting);
}

void GroupSignals::use(std::unique_ptr<GroupWitness> witness) {
  witness_ = std::move(witness);
  watch_witness();
}

void GroupSignals::watch_witness() {
  answer_came_.reset();
  if (witness_ == nullptr || witness_->fd() < 0) return;
  answer_came_ = loop_.watch(witness_->fd(), POLLIN, [this](short) { hear(); });
}

void GroupSignals::add(const signalfd_siginfo& info) {
  const bool has_witness = witness_ != nullptr && witness_->fd() >= 0;
  const bool no_room = waiting_.size() == kMostWaiting;
  if (has_witness && no_room) give_up();  // its answer would be about signals that are gone
  if (!has_witness || no_room) {
    hand_over(waiting_.size());
    as_memory_allows([&] { deliver_(info, was_for_group(info)); });
    return;
  }
  waiting_.push_back(info);  // there is room
  if (asked_for_ == 0) ask();
}

void GroupSignals::ask() {
  asked_for_ = waiting_.size();
  silences_ = 0;
  silent_.set(Clock::now() + kPatience);
  if (!witness_->ask()) give_up();
}

void GroupSignals::hear() {
  auto answered = GroupWitness::Answered::kNever;
  as_memory_allows([&] { answered = witness_->take(for_group_); });
  if (answered == GroupWitness::Answered::kNotYet) return;
  if (answered == GroupWitness::Answered::kNever) {
    give_up();
    return;
  }
  silent_.cancel();
  hand_over(std::exchange(asked_for_, 0));
  if (dismissed_) {
    give_up();
  } else if (!waiting_.empty()) {
    ask();
  } else {
    answered_();
  }
}

void GroupSignals::see_silence() {
  if (++silences_ < kMostSilences && witness_->wants_cpu()) {
    silent_.set(Clock::now() + kPatience);
  } else {
    give_up();
  }
}

void GroupSignals::hand_over(std::size_t count) {
  // Nothing is handed over twice, whatever happens.
  std::array<signalfd_siginfo, kMostWaiting> now;  // NOLINT: filled below
  std::copy_n(waiting_.begin(), count, now.begin());
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t place = 0; place < count; ++place) {
    as_memory_allows([&] { deliver_(now.at(place), was_for_group(now.at(place))); });
  }
  if (for_group_.size() > kMostForGroup) for_group_.clear();
}

void GroupSignals::all_added() {
  // All that the witness told of had reached us too, or was merged with one for us alone,
  // signal(7).
  if (waiting_.empty()) for_group_.clear();
}

void GroupSignals::give_up() {
  silent_.cancel();
  answer_came_.reset();
  asked_for_ = 0;
  witness_->dismiss();
  again_.set(Clock::now());
  hand_over(waiting_.size());
}

void GroupSignals::replace_witness() {
  if (dismissed_ && witness_->gone()) {
    witness_.reset();
  } else if (!dismissed_ && witness_->start_again()) {
    watch_witness();
  } else if (dismissed_ || !witness_->gone()) {
    again_.set(Clock::now() + kBetweenLooks);
  }
}

void GroupSignals::dismiss_witness() {
  if (witness_ == nullptr) return;
  dismissed_ = true;
  if (asked_for_ == 0) give_up();
}

void GroupSignals::leave() {
  if (witness_ != nullptr) give_up();
  again_.cancel();
  witness_.reset();
}

bool GroupSignals::was_for_group(const signalfd_siginfo& info) {
  const GroupWitness::Heard same{static_cast<int>(info.ssi_signo), info.ssi_code,
                                 static_cast<pid_t>(info.ssi_pid), info.ssi_uid};
  const auto heard = std::ranges::find(for_group_, same);
  if (heard == for_group_.end()) return false;
  for_group_.erase(heard);
  return true;
}

}  // namespace shmvisor
