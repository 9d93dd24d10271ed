// Tracee: a thread of somebody else's that the calling thread traces, running or stopped. What both
// AttachedThread and StoppedThread are made of.
//
// Owns the attachment, and does not end it by itself: AttachedThread and StoppedThread do, which
// know how the thread is to go on. An attachment that is never ended lasts until the tracing thread
// ends.
//
// A trace can end at any time: by SIGKILL, or by another thread's execve(2). Every member then
// fails.
//
// Thread rule: all members on the thread that attached: the tracer is a thread, not a process.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "policy/base/result.h"
#include "supervisor/inject/tracee_news.h"

namespace shmvisor {

class Tracee {
 public:
  /// Why a thread stopped.
  enum class Stop : std::uint8_t {
    kSyscall,
    kTraced,  ///< a call that its filter, or ours, wants traced
    kInterrupted,
    kSignal,    ///< about to take pending_signal()
    kFault,     ///< the same, because of what it ran
    kReplaced,  ///< by the program of an execve(2)
    kTimeout,   ///< it did not stop in time
    kGone,
  };
  enum class Wait : std::uint8_t {
    kWhileItTakes,  ///< the kernel's own time
    kBounded,       ///< two seconds
  };
  /// Of a thread whose process may be frozen, and which is not to go on anyway: every wait for it
  /// ends, after a minute.
  enum class Waits : std::uint8_t { kUnlimited, kLimited };

  /// PTRACE_SEIZE, which the thread does not notice. Errors: EPERM where we may not, or somebody
  /// else traces it. ESRCH where it is gone. EAGAIN where its process is in an execve(2) that does
  /// not end within `bound`. ENOMEM where we lack the means.
  static Result<Tracee> seize(pid_t tid, std::uint64_t options, std::chrono::milliseconds bound);
  /// A task that the kernel attached to this thread, with the options of the tracee that made it.
  static Tracee adopt(pid_t tid, std::uint64_t options, Waits waits) {
    return Tracee(tid, options, waits);
  }

  Tracee(Tracee&& other) noexcept
      : tid_(other.tid_),
        attached_(std::exchange(other.attached_, false)),
        options_(other.options_),
        waits_(other.waits_),
        pending_signal_(other.pending_signal_),
        event_message_(other.event_message_) {}
  Tracee& operator=(Tracee&&) = delete;
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() = default;

  [[nodiscard]] pid_t tid() const { return tid_; }
  /// Whether the attachment is there still, as far as we know.
  [[nodiscard]] bool attached() const { return attached_; }
  /// Ends the attachment as far as this object goes. Whether it was there.
  bool end() { return std::exchange(attached_, false); }

  /// Gives up a thread that cannot be detached, because it does not stop. The kernel detaches it
  /// when the tracing thread ends, which the code that runs this thread sees to.
  void abandon();
  /// For a thread that may trace a task of which nobody knows: the child of a tracee that died
  /// before it told of it. Such a task stays stopped until the tracing thread ends; then it is
  /// killed where it has PTRACE_O_EXITKILL, and goes on otherwise.
  static void abandon_unknown_one();
  /// Whether this thread abandoned a tracee, and is to end soon.
  static bool this_thread_abandoned_one();
  /// Kills the whole process and waits for its end: for two seconds, then it is abandoned. Not for
  /// a child of ours.
  void kill();
  /// For a thread that has died, or whose tid a program of which we know nothing has taken over.
  /// Where the thread is ours to reap it is reaped.
  void give_up_gone();

  /// Asks the thread to stop, which ends a wait of its that signals can end.
  Result<void> interrupt();
  /// Waits for its next stop, without consuming that. `before_long_wait`: see tracee_news.h; for
  /// bounded waits.
  Stop wait(Wait wait, const std::function<void()>& before_long_wait = {});
  [[nodiscard]] bool has_news() const { return shmvisor::has_news(tid_); }
  /// Lets it go on, with the signal that it was about to take: to where it enters or leaves the
  /// kernel, or until something happens.
  bool resume(bool to_syscall_stop);
  /// Detaches the stopped thread, which goes on with the signal that it was about to take. False
  /// where it has died.
  bool detach();

  /// The signal that it was about to take when it last stopped; 0 where there is none.
  [[nodiscard]] int pending_signal() const { return pending_signal_; }
  void drop_pending_signal() { pending_signal_ = 0; }

  bool add_option(std::uint64_t option);
  bool remove_option(std::uint64_t option);
  [[nodiscard]] std::uint64_t options() const { return options_; }
  /// The tid that the last clone event told of, which is forgotten; 0 where there was none.
  pid_t take_cloned() { return static_cast<pid_t>(std::exchange(event_message_, 0)); }

  [[nodiscard]] std::optional<std::uint64_t> signal_mask() const;
  bool set_signal_mask(std::uint64_t mask);
  /// Eight bytes of its memory.
  [[nodiscard]] std::optional<std::uint64_t> peek(std::uint64_t address) const;
  bool poke(std::uint64_t address, std::uint64_t word);

 private:
  Tracee(pid_t tid, std::uint64_t options, Waits waits)
      : tid_(tid), options_(options), waits_(waits) {}

  Stop why_stopped(int status);
  [[nodiscard]] bool is_fault(int signal) const;
  bool set_options(std::uint64_t options);

  pid_t tid_;
  bool attached_ = true;
  std::uint64_t options_;
  Waits waits_;
  int pending_signal_ = 0;
  std::uint64_t event_message_ = 0;
};

}  // namespace shmvisor
