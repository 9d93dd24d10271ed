// Listener: the descriptor on which the kernel announces supervised calls, seccomp_unotify(2).
//
// Errors: receive() gives ENOENT when a call was gone before it could be read, and for good when no
// supervised task is left (Linux 6.11+); EINTR on a signal. The others give ENOENT when the caller
// is no longer waiting: killed, or interrupted where the filter lacks WAIT_KILLABLE_RECV.
//
// Without WAIT_KILLABLE_RECV any signal ends the wait, and the call is repeated under a new id
// (kernel/seccomp.c: seccomp_do_user_notification()). A signal may also come between a respond()
// that succeeds and the caller's waking up, which handles the signal first. So under such a filter
// an answer that was sent may be lost.
// Ownership: owns the descriptor, or borrows it. Thread rule: any thread may call any member;
// receive() blocks.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/journal/call_slots.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// The answer -ERESTARTNOINTR of include/linux/errno.h: the kernel repeats the call, also after a
/// signal handler, and the program sees nothing of it. A caller that we take out of its wait gets
/// this answer first: if we die before we set the result, the call comes again. Precondition: the
/// caller is about to stop or to take a signal, since only then does the kernel look at this value.
inline constexpr std::int64_t kCallAgain = -513;

/// How a caller waits for the answer, which the filter's flags decide.
enum class WaitKind : std::uint8_t {
  kUnknown,        ///< another party's filter, and no caller has shown its kind yet
  kKillable,       ///< WAIT_KILLABLE_RECV: a received call ends by its answer or by death
  kInterruptible,  ///< any signal ends the wait
};

class Listener {
 public:
  /// A descriptor that outlives this: of a file that another process closes for us.
  struct Borrowed {
    int fd = -1;
  };

  explicit Listener(UniqueFd fd, WaitKind wait_kind = WaitKind::kKillable);
  Listener(Borrowed borrowed, WaitKind wait_kind);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_; }

  [[nodiscard]] WaitKind wait_kind() const { return wait_kind_.load(std::memory_order_relaxed); }
  /// Sets what the behaviour of a caller has shown.
  void learn(WaitKind wait_kind) {
    wait_kind_.store(wait_kind, std::memory_order_relaxed);
    if (kept_wait_kind_ != nullptr) kept_wait_kind_->store(static_cast<std::uint8_t>(wait_kind));
  }
  /// From now on learn() also stores into `place`, borrowed. To be called before anything is
  /// received.
  void keep_wait_kind_in(std::atomic<std::uint8_t>& place) { kept_wait_kind_ = &place; }

  /// To be called before anything is received. From then on wake-ups are on the caller's own CPU
  /// (Linux 6.6): ten times as fast as across CPUs.
  void use(const KernelFeatures& features);

  /// From now on each call has a slot from the moment when it is received till it is answered, so
  /// that another process can go on with the call (left_calls.h). `slots`, borrowed, outlive the
  /// listener. To be called before anything is received.
  void note_calls_in(CallSlots& slots) { slots_ = &slots; }
  /// Null if calls are not noted.
  [[nodiscard]] CallSlots* slots() const { return slots_; }

  /// EINTR also if no slot is free for a while.
  [[nodiscard]] Result<seccomp_notif> receive();
  /// Whether the call is still waiting, and so whether its tid still means its thread.
  [[nodiscard]] bool alive(std::uint64_t id) const;
  /// `result`: a value, or an errno negated.
  Result<void> respond(std::uint64_t id, std::int64_t result);
  /// Answers with the order to make the call again, kCallAgain. The call is not over for us then:
  /// its slot is kept till done_with().
  Result<void> send_back(std::uint64_t id);
  /// To be called when the call is over in another way than by respond().
  void done_with(std::uint64_t id) {
    if (slots_ != nullptr) slots_->free(id);
  }
  /// alive() of a call that no thread serves. If the caller is gone, the call will not be answered,
  /// so this also frees its slot.
  [[nodiscard]] bool waits_still(std::uint64_t id);
  /// The kernel carries the call out itself. Not for a decision that must hold: the caller's memory
  /// may have changed since.
  Result<void> let_through(std::uint64_t id);
  /// Puts a copy of `fd` into the caller's table, close-on-exec, as the lowest number that is free;
  /// the call still waits. EMFILE if the table is full.
  Result<int> add_fd(std::uint64_t id, int fd);
  /// Puts the copy at `number`, in place of what is open there. EBADF if `number` is beyond the
  /// caller's RLIMIT_NOFILE, EBUSY if another thread's call is about to open `number`.
  Result<int> add_fd_as(std::uint64_t id, int fd, int number);
  /// The same, and answers the call with the number, in one step (Linux 5.14). A signal to this
  /// thread during the step, at least SIGSTOP, can spoil it: then the call is answered with 0,
  /// there is no descriptor, and the error is EINPROGRESS or ENOENT (kernel/seccomp.c:
  /// seccomp_notify_addfd() counts the call as answered before it waits). EINVAL where the kernel
  /// does not have it.
  Result<int> respond_with_fd_as(std::uint64_t id, int fd, int number);

  /// Whether another call waits to be received.
  [[nodiscard]] bool call_waits() const;
  /// Whether every supervised task has gone.
  [[nodiscard]] bool ended() const;

 private:
  Listener(UniqueFd own, int fd, WaitKind wait_kind);
  [[nodiscard]] Result<seccomp_notif> receive_noted();
  Result<void> send(std::uint64_t id, std::int64_t result);
  Result<void> send(const seccomp_notif_resp& answer);

  const UniqueFd own_;  ///< invalid: it is borrowed
  const int fd_;
  CallSlots* slots_ = nullptr;
  std::atomic<WaitKind> wait_kind_;
  KernelFeatures features_;
  std::size_t notif_size_bytes_;
  std::size_t response_size_bytes_;
  std::atomic<std::uint8_t>* kept_wait_kind_ = nullptr;
};

/// Whether `fd` is the listener of a seccomp filter: no other file can have its name in /proc.
[[nodiscard]] bool is_seccomp_listener(const UniqueFd& fd);

}  // namespace shmvisor
