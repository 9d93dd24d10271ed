#include "supervisor/client/call_follower.h"

#include <exception>
#include <utility>

#include "supervisor/client/call_text.h"

namespace shmvisor::client {
namespace {

using Clock = EventLoop::Clock;

}  // namespace

CallFollower::CallFollower(EventLoop& loop, std::string path, Got got)
    : path_(std::move(path)), got_(std::move(got)), tick_(loop.timer([this] { tick(); })) {}

void CallFollower::follow(bool wanted) {
  if (wanted == std::exchange(wanted_, wanted)) return;
  if (wanted) {
    begin();
    tick_.set(Clock::now() + kBetweenBatches);
  } else {
    tick_.cancel();
    if (work_ != nullptr) work_->give_up();
    work_.reset();
  }
}

void CallFollower::begin() {
  // The thread before may not have noticed yet that nobody wanted it: tick() tries again.
  if (task_.running() || Clock::now() < not_before_) return;
  not_before_ = Clock::now() + kPause;
  work_ = std::make_shared<Work>();
  (void)task_.start([work = work_, path = path_] { work->follow(path); });
}

void CallFollower::tick() {
  tick_.set(Clock::now() + kBetweenBatches);
  Batch batch;
  if (work_ != nullptr) {
    const MutexLock lock(work_->mutex);
    batch = std::exchange(work_->batch, Batch());
  }
  begin();
  if (!batch.calls.empty() || batch.lost != 0) got_(batch);
}

bool CallFollower::stop() {
  constexpr std::chrono::milliseconds kBound(1000);
  follow(false);
  return task_.wait_for_end(kBound);
}

void CallFollower::Work::give_up() {
  const MutexLock lock(mutex);
  given_up = true;
  if (run != nullptr) run->interrupt();
}

void CallFollower::Work::take(const Json& record) {
  if (const auto call = record.find("call"); call != record.end()) {
    Json shown = {{"time", call->at("time")},
                  {"line", as_strace(*call)},
                  {"failed", call->contains("errno")},
                  {"refused", call->contains("denied_by")}};
    const MutexLock lock(mutex);
    if (batch.calls.size() < kMostWaiting) {
      batch.calls.push_back(std::move(shown));
    } else {
      ++batch.lost;
    }
  } else if (const auto lost = record.find("lost"); lost != record.end()) {
    const MutexLock lock(mutex);
    batch.lost += lost->get<std::uint64_t>();
  }
}

void CallFollower::Work::follow(const std::string& path) {
  auto found = RunConnection::connect_to(path);
  if (!found) return;
  {
    const MutexLock lock(mutex);
    if (given_up) return;
    run = &*found;
  }
  try {
    if (found->ask({{"request", "follow"}})) {
      constexpr int kNoOutput = -1;
      for (auto next = found->next(kNoOutput); next && *next; next = found->next(kNoOutput)) {
        take(**next);
      }
    }
  } catch (const std::exception&) {  // a record of another form, or no memory
  }
  const MutexLock lock(mutex);
  run = nullptr;
}

}  // namespace shmvisor::client
