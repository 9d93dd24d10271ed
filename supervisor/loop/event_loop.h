// EventLoop: the one wait of a main thread: for descriptors, by poll(2), and for points in time.
//
// A Source is a descriptor with the events that are waited for, a Timer a point in time. Each has a
// callback. Callbacks run one after another in the thread that turns the loop: those of sources
// first, then those of timers, each kind in the order of creation. A callback may make and destroy
// sources and timers, its own too. No callback may wait for a process that we do not control: work
// that may take long is a LoopTask (loop_task.h).
//
// Errors: a callback that throws is logged. It is called again after kInWant; a source's only if
// its descriptor is still ready. A wait for which the kernel has no memory is repeated; a lowered
// RLIMIT_NOFILE does not end it (poll_files()). Making a
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

  /// Owns an entry of the loop, or none; can be moved.
  template <typename Entry>
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&&) = default;
    Handle& operator=(Handle&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { reset(); }

    /// Removes the entry from the loop.
    void reset();

   protected:
    explicit Handle(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}

    std::shared_ptr<Entry> entry_;
  };

  /// Watches a descriptor for as long as the Source lives. A Source without a descriptor does
  /// nothing.
  class Source : public Handle<SourceEntry> {
   public:
    Source() = default;
    /// No callback before that time.
    void pause_until(Time when);

   private:
    friend class EventLoop;
    using Handle::Handle;
  };

  /// Calls back once for each time that it was set to.
  class Timer : public Handle<TimerEntry> {
   public:
    Timer() = default;

    // Of a timer that the loop made:

    void set(Time when);
    /// Sets it, unless it is set to an earlier time already.
    void set_by(Time when);
    void cancel();
    [[nodiscard]] std::optional<Time> due() const;

   private:
    friend class EventLoop;
    using Handle::Handle;
  };

  EventLoop();
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
  /// Turns while `wanted` answers true, which is asked before each wait, and until `latest` at
  /// most. False: see turn().
  bool run_while(const std::function<bool()>& wanted, std::optional<Time> latest = std::nullopt);

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
