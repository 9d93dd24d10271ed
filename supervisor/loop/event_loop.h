// EventLoop: the one wait of a main thread: for descriptors, by poll(2), and for points in time.
//
// A Source is a descriptor with the events that are waited for, a Timer a point in time. Each has a
// callback. Callbacks run one after another in the thread that turns the loop: those of sources
// first, then those of timers, each kind in the order of creation. A callback may make and destroy
// sources and timers, its own too. No callback may wait for a process that we do not control: work
// that may take long is a BackgroundTask (tasks/background_task.h).
//
// Errors: a callback that throws is logged. It is called again after kInWant; a source's only if
// its descriptor is still ready. A wait for which the kernel has no memory is repeated. Making a
// source or a timer may throw std::bad_alloc; a turn allocates nothing by itself.
//
// Ownership: borrows the descriptors; their owner destroys a source before it closes the
// descriptor. Sources, timers and loop may be destroyed in any order. Thread rule: one thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace shmvisor {

class EventLoop {
  struct SourceEntry;
  struct TimerEntry;

 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  /// The pause after which a callback that threw is called again.
  static constexpr std::chrono::milliseconds kInWant{50};

  /// Watches a descriptor for as long as the Source lives. A Source without a descriptor does
  /// nothing.
  class Source {
   public:
    Source() = default;
    Source(Source&&) = default;
    Source& operator=(Source&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() { reset(); }

    /// Stops watching the descriptor.
    void reset();
    /// No callback before that time.
    void pause_until(Time when);

   private:
    friend class EventLoop;
    explicit Source(std::shared_ptr<SourceEntry> entry) : entry_(std::move(entry)) {}

    std::shared_ptr<SourceEntry> entry_;
  };

  /// Calls back once for each time that it was set to.
  class Timer {
   public:
    Timer() = default;
    Timer(Timer&&) = default;
    Timer& operator=(Timer&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { reset(); }

    /// Removes the timer from the loop.
    void reset();

    // Of a timer that the loop made:

    void set(Time when);
    /// Sets it, unless it is set to an earlier time already.
    void set_by(Time when);
    void cancel();
    [[nodiscard]] std::optional<Time> due() const;

   private:
    friend class EventLoop;
    explicit Timer(std::shared_ptr<TimerEntry> entry) : entry_(std::move(entry)) {}

    std::shared_ptr<TimerEntry> entry_;
  };

  EventLoop() = default;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  /// `events`: of poll(2); POLLHUP and POLLERR are always reported. `ready` gets the events that
  /// occurred. A descriptor below 0 is never ready.
  [[nodiscard]] Source watch(int fd, short events, std::function<void(short)> ready);
  /// The new timer is not set.
  [[nodiscard]] Timer timer(std::function<void()> due);

  /// Waits for an event or a timer, until `latest` at most, and runs the callbacks. False where
  /// poll(2) fails for good.
  bool turn(std::optional<Time> latest = std::nullopt);
  /// Turns while `wanted` answers true; it is asked before each wait. False: see turn().
  bool run_while(const std::function<bool()>& wanted);

  /// When the next timer is due, or the next paused source is watched again.
  [[nodiscard]] std::optional<Time> next_due() const;

 private:
  void forget_removed();
  void call_sources(Time now);
  void call_timers(Time now);

  std::vector<std::shared_ptr<SourceEntry>> sources_;
  std::vector<std::shared_ptr<TimerEntry>> timers_;
  std::vector<pollfd> polled_;  ///< of sources_, by place; has room for all of them
};

}  // namespace shmvisor
