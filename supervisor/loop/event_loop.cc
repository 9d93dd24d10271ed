#include "supervisor/loop/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <thread>

#include "supervisor/kernel/poll_files.h"
#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

using Time = EventLoop::Time;

std::optional<Time> earlier(std::optional<Time> one, std::optional<Time> other) {
  if (!one || !other) return one ? one : other;
  return std::min(*one, *other);
}

/// None: for ever.
std::optional<std::chrono::nanoseconds> time_left(std::optional<Time> until) {
  if (!until) return std::nullopt;
  return *until - EventLoop::Clock::now();
}

/// Whether it returned rather than threw.
template <typename Callback, typename... Arguments>
bool call(const Callback& callback, Arguments... arguments) {
  try {
    callback(arguments...);
    return true;
  } catch (const std::bad_alloc&) {
    log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                "out of memory: a message, or what was to be looked after, waits");
  } catch (const std::exception& error) {
    log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                "what the main loop was to do failed: {}", error.what());
  }
  return false;
}

}  // namespace

struct EventLoop::SourceEntry {
  int fd;
  short events;
  std::function<void(short)> call_back;
  std::optional<Time> paused_until = std::nullopt;
  bool running = false;
  bool removed = false;
};

struct EventLoop::TimerEntry {
  std::function<void()> call_back;
  std::optional<Time> due = std::nullopt;
  bool running = false;
  bool removed = false;
};

template <typename Entry>
void EventLoop::Handle<Entry>::reset() {
  if (entry_ == nullptr) return;
  entry_->removed = true;
  if (!entry_->running) entry_->call_back = nullptr;
  entry_.reset();
}

template class EventLoop::Handle<EventLoop::SourceEntry>;
template class EventLoop::Handle<EventLoop::TimerEntry>;

void EventLoop::Source::pause_until(Time when) { entry_->paused_until = when; }

void EventLoop::Timer::set(Time when) { entry_->due = when; }

void EventLoop::Timer::set_by(Time when) { entry_->due = earlier(entry_->due, when); }

void EventLoop::Timer::cancel() { entry_->due.reset(); }

std::optional<Time> EventLoop::Timer::due() const { return entry_->due; }

EventLoop::EventLoop() { keep_poll_reserve(); }

EventLoop::~EventLoop() = default;

EventLoop::Source EventLoop::watch(int fd, short events, std::function<void(short)> ready) {
  auto entry = std::make_shared<SourceEntry>(SourceEntry{fd, events, std::move(ready)});
  if (polled_.capacity() <= sources_.size()) polled_.reserve(2 * sources_.size() + 8);
  sources_.push_back(entry);
  return Source(std::move(entry));
}

EventLoop::Timer EventLoop::timer(std::function<void()> due) {
  auto entry = std::make_shared<TimerEntry>(TimerEntry{std::move(due)});
  timers_.push_back(entry);
  return Timer(std::move(entry));
}

bool EventLoop::turn(std::optional<Time> latest) {
  forget_removed();
  const Time before = Clock::now();
  polled_.clear();
  for (const auto& source : sources_) {
    if (source->paused_until && *source->paused_until <= before) source->paused_until.reset();
    polled_.push_back({source->paused_until ? -1 : source->fd, source->events, 0});
  }
  const int ready = poll_files(polled_, time_left(earlier(next_due(), latest)));
  if (ready < 0) {
    if (errno == ENOMEM || errno == EAGAIN) std::this_thread::sleep_for(kInWant);
    if (errno != EINTR && errno != ENOMEM && errno != EAGAIN) return false;
  }
  const Time now = Clock::now();
  if (ready > 0) call_sources(now);
  call_timers(now);
  return true;
}

bool EventLoop::run_while(const std::function<bool()>& wanted, std::optional<Time> latest) {
  while (wanted() && (!latest || Clock::now() < *latest)) {
    if (!turn(latest)) return false;
  }
  return true;
}

std::optional<Time> EventLoop::next_due() const {
  std::optional<Time> next;
  for (const auto& source : sources_) {
    if (!source->removed) next = earlier(next, source->paused_until);
  }
  for (const auto& timer : timers_) {
    if (!timer->removed) next = earlier(next, timer->due);
  }
  return next;
}

void EventLoop::forget_removed() {
  const auto removed = [](const auto& entry) { return entry->removed; };
  std::erase_if(sources_, removed);
  std::erase_if(timers_, removed);
}

void EventLoop::call_sources(Time now) {
  // Sources that a callback makes are added behind these, and none is removed before the turn is
  // over.
  for (std::size_t place = 0; place < polled_.size(); ++place) {
    if (polled_[place].revents == 0) continue;
    const std::shared_ptr<SourceEntry> source = sources_[place];
    if (source->removed || source->paused_until) continue;
    source->running = true;
    if (!call(source->call_back, polled_[place].revents)) source->paused_until = now + kInWant;
    source->running = false;
    if (source->removed) source->call_back = nullptr;
  }
}

void EventLoop::call_timers(Time now) {
  for (std::size_t place = 0, count = timers_.size(); place < count; ++place) {
    const std::shared_ptr<TimerEntry> timer = timers_[place];
    if (timer->removed || !timer->due || *timer->due > now) continue;
    timer->due.reset();
    timer->running = true;
    if (!call(timer->call_back)) timer->due = earlier(timer->due, now + kInWant);
    timer->running = false;
    if (timer->removed) timer->call_back = nullptr;
  }
}

}  // namespace shmvisor
