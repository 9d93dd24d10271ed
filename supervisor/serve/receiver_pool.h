// ReceiverPool: the threads that receive the calls of one listener, and that serve them.
//
// A receiving thread blocks in NOTIF_RECV itself: only then does the kernel hand it the CPU of the
// caller (an epoll in between loses that). Each call wakes all threads that are blocked there, on
// that one CPU; so a single thread receives, and others are parked. To hand a call over takes
// longer than to answer a shmget. So short calls queue for the one thread. Another thread begins to
// receive
//   - when an attach or detach begins that stops its caller, and another call waits already;
//   - before a step that takes long (counting a thousand processes);
//   - when a call keeps its thread for more than a millisecond or two: a mapping that is populated,
//     a copy to memory that belongs to a userfaultfd or a file system of the caller's, memory that
//     is freed;
//   - before each such copy, while a call is kept like that: many of the next ones may be, too.
//
// A pool whose callers are quiet can rest, without a thread.
//
// Ownership: borrows listener and handler. Thread rule: start(), rest(), stop_looking() and
// wait_for_end() from one thread; the functions about a serving thread's next step from that
// thread; ask_to_look() from any thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/watchdog.h"

namespace shmvisor {

class ReceiverPool {
 public:
  /// Threads that stay parked when there is nothing to do.
  static constexpr int kMostParked = 3;
  /// How many of this many threads may serve calls; the others receive, or are about to.
  static int calls_of(int threads);

  /// Serves the received calls.
  class Handler {
   public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;

    /// Serves a call, which may keep the thread for as long as the caller likes.
    virtual void serve(const seccomp_notif& notif) noexcept = 0;
    /// Whether calls that were put aside may be served now.
    [[nodiscard]] virtual bool can_resume() = 0;
    /// Serves such calls, in a thread of its own.
    virtual void resume() noexcept = 0;
    /// There are threads for this many calls only.
    virtual void limit_to(int calls) = 0;
    /// Called a millisecond after ask_to_look(). Returns how much later to call it again; 0: not
    /// until the next ask_to_look(). Must be short.
    virtual std::chrono::milliseconds look() = 0;
  };

  ReceiverPool(Listener& listener, int most_threads, Handler& handler);
  ReceiverPool(const ReceiverPool&) = delete;
  ReceiverPool& operator=(const ReceiverPool&) = delete;

  /// Takes calls that another process received and left unanswered, to be served as if they were
  /// received now. To be called before start().
  void begin_with(std::vector<seccomp_notif> left);
  /// Makes a thread receive. EAGAIN where no thread can be created.
  Result<void> start();
  /// To be called once a pool has started: makes spare threads that calls of any pool may need
  /// later. The start of a command does not wait for that.
  static void keep_reserve();
  /// Ends the threads that have no call; the others first finish their call. To be repeated until
  /// idle(), because a thread that is about to receive misses the request. start() ends the rest.
  /// The owner watches the listener meanwhile.
  void rest();
  /// Whether no thread is left.
  [[nodiscard]] bool idle() const;
  /// Calls received so far.
  [[nodiscard]] std::uint64_t received() const { return received_.load(); }
  /// After this Handler::look() is not called any more.
  void stop_looking() { watchdog_.stop(); }
  /// See Server::wait_for_end().
  bool wait_for_end();

  // What a serving thread tells about its next step.

  /// Makes a thread receive, other than the calling one.
  void ensure_receiver();
  /// The same, but only if a call waits already.
  void ensure_receiver_for_waiting();
  /// The caller may delay the next step. If another call is being delayed, another thread receives
  /// at once.
  void expect_wait();
  /// The next step is short; if it takes longer, another thread receives.
  void look_if_it_takes_long() {
    if (receivers_.load() == 0) watchdog_.ask();
  }

  /// Calls Handler::look() in a millisecond.
  void ask_to_look() { watchdog_.ask(); }

 private:
  /// A serving thread, for a thread that wants to interrupt its NOTIF_RECV.
  struct Worker {
    const KickTarget thread = KickTarget::of_this_thread();
    std::atomic<bool> receiving{false};
  };

  /// What a new thread does first: wait to be called, or serve calls that were put aside.
  enum class Begin : std::uint8_t { kParked, kResuming };
  template <Begin begin>
  static void* enter(void* self);
  void run(Begin begin);
  std::optional<seccomp_notif> take_left();
  void serve(const seccomp_notif& notif);
  /// Receives one call and serves it. False if the listener has ended.
  bool receive_one(Worker& self);
  /// The watchdog's function: returns when to look again.
  std::chrono::milliseconds look();
  /// Starts a thread for calls that were put aside and may be served now. If no thread can be
  /// started, an existing thread that has no call serves them.
  void look_after_aside();
  /// Serves calls that were put aside. Releases the mutex meanwhile.
  void resume() REQUIRES(mutex_);
  /// Whether the last receiver serves a call, and has to be watched.
  bool look_after_receiver();

  /// Wakes the threads in NOTIF_RECV.
  void wake_receivers() REQUIRES(mutex_);
  /// The same as ensure_receiver(). False if no thread can be created.
  bool call_receiver() REQUIRES(mutex_);
  /// Returns true when a receiver is wanted, and this thread counts as one. False when this thread
  /// is one too many, or when the pool ends.
  bool become_receiver() REQUIRES(mutex_);
  /// Waits to be called. The caller has counted itself in parked_ already.
  void park() REQUIRES(mutex_);
  /// False if no thread can be created, or there are as many as there may be.
  bool add_thread(Begin begin = Begin::kParked) REQUIRES(mutex_);

  Listener& listener_;
  std::vector<seccomp_notif> left_ GUARDED_BY(mutex_);
  std::atomic<bool> any_left_{false};  ///< in left_
  const int most_threads_;
  Handler& handler_;
  /// Threads in NOTIF_RECV, or on their way there.
  std::atomic<int> receivers_{0};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<int> served_{0};   ///< calls that a thread is busy with
  std::uint64_t looked_at_ = 0;  ///< how many were received when the watchdog last looked
  mutable Mutex mutex_;
  Condition called_;
  Condition ended_;
  std::vector<Worker*> workers_ GUARDED_BY(mutex_);
  int threads_ GUARDED_BY(mutex_) = 0;
  int parked_ GUARDED_BY(mutex_) = 0;
  int calls_to_parked_ GUARDED_BY(mutex_) = 0;  ///< to receive; each call unparks one thread
  bool over_ GUARDED_BY(mutex_) = false;
  bool resting_ GUARDED_BY(mutex_) = false;
  /// The next thread without a call has to serve calls that were put aside.
  bool resume_wanted_ GUARDED_BY(mutex_) = false;
  Watchdog watchdog_;  ///< the last member, because it uses the others
};

}  // namespace shmvisor
