// PtraceStop: holds one thread of somebody else's in a ptrace-stop, for a moment, and lets it go as
// it was.
//
// It is attached with PTRACE_SEIZE, which the thread does not notice: no signal is sent, its parent
// sees nothing. While it runs anything for us all its signals are blocked (PTRACE_SETSIGMASK), so
// that no handler of its runs between two calls of ours; to block them only when one comes would be
// too late, because real-time signals that are queued again lose their order. Those of faults stay
// as they are, because a fault resets the disposition of a signal that is blocked (kernel/signal.c:
// force_sig_info_to_task()). The destructor restores registers and signal mask and detaches.
//
// A stop can end at any time by SIGKILL, or by another thread's execve(2). Every member then
// answers ESRCH, and letting go does nothing.
//
// How a call is run: the registers are set to enter the kernel again (Registers), and the thread
// goes from one syscall-stop to the next. PTRACE_SINGLESTEP would need half as many stops, but its
// SIGTRAP is forced: it resets the disposition of a thread that ignores or blocks SIGTRAP.
//
// Thread rule: all members on the thread that created it: the tracer is a thread, not a process.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"
#include "supervisor/inject/arch/registers.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class PtraceStop {
 public:
  /// With an execve(2) that a thread's process is in.
  static constexpr std::chrono::milliseconds kSeizePatience{1000};

  /// Attaches to a thread that is blocked in the kernel and asks it to stop on its way out.
  /// EPERM: we may not, or somebody else traces it. ESRCH: gone.
  static Result<PtraceStop> seize(pid_t tid);
  /// The first half: attaches. From now on it takes no signal without stopping for us first. EAGAIN
  /// where its process is in an execve(2) that does not end soon.
  static Result<PtraceStop> attach(pid_t tid, std::chrono::milliseconds bound = kSeizePatience);
  /// Gives up a thread that turned out to be another one than meant, before interrupt(). It may
  /// itself be waiting for an answer of ours, so that it cannot stop and cannot be detached. The
  /// kernel detaches what is still attached when the tracing thread ends: the caller sees to that.
  void abandon();
  /// Whether this thread abandoned somebody, and is to end soon.
  static bool left_somebody_attached();
  /// The second: asks it to stop, which ends a wait of its that signals can end.
  Result<void> interrupt();

  PtraceStop(PtraceStop&&) noexcept = default;
  PtraceStop& operator=(PtraceStop&&) = delete;
  PtraceStop(const PtraceStop&) = delete;
  PtraceStop& operator=(const PtraceStop&) = delete;
  ~PtraceStop();

  [[nodiscard]] pid_t tid() const { return tid_; }

  /// Waits until it has stopped. To be called once its way out is free. EAGAIN where it does not
  /// stop in two seconds: it is given up as by abandon(). `before_long_wait`: see tracee_news.h.
  Result<void> wait_until_stopped(const std::function<void()>& before_long_wait = {});
  /// From now on every wait for it ends, after a minute, and it is given up then. For a thread that
  /// is not to go on anyway.
  void limit_waits() { waits_limited_ = true; }
  /// Whether it is on its way out of the call `data`, holds no signal that it was about to take,
  /// and nothing but the way out is missing of it. Precondition: stopped.
  [[nodiscard]] bool is_in(const seccomp_data& data) const {
    return saved_ && pending_signal_ == 0 && saved_->is_in(data);
  }
  /// What it would find as the result of that call. Precondition: stopped.
  [[nodiscard]] std::int64_t found_result(Abi abi) const { return saved_->result(abi); }

  /// Runs one system call in it. Precondition: stopped. The result is the kernel's: a value, or an
  /// errno negated. Errors: ESRCH, and EACCES where the thread does not run what it should.
  Result<std::int64_t> call(Abi abi, RemoteCall call,
                            const std::array<std::uint64_t, 6>& arguments);

  /// Runs it from `begin` until it makes a call that the filter wants traced (kTracedArgument).
  /// What its registers are then; or where it got no further, because of a fault or an endless
  /// loop. Errors: ESRCH.
  Result<Registers> run(const Registers& begin);
  /// What run() may begin with. Precondition: stopped.
  [[nodiscard]] const Registers& registers() const { return *saved_; }
  /// Eight bytes of its memory.
  [[nodiscard]] std::optional<std::uint64_t> peek(std::uint64_t address) const;

  /// Whether it may run code of ours without us: nobody would be there to see a signal that it was
  /// about to take, a step, or a call that system call user dispatch sends back to the program
  /// (where the kernel cannot tell, before Linux 6.4, it may not). Precondition: stopped.
  [[nodiscard]] bool can_be_left(KernelFeatures& features) const;
  /// Once it is let go it runs from `begin`, whatever its result, with all signals blocked, faults
  /// too because one can be sent: signal_mask() is for that code to restore. But for SIGSYS, which
  /// a filter of its own may give it there: one that is sent is handled there as well.
  /// Its result is written to `result_address` of its memory, if that is given.
  void leave_at(const Registers& begin, std::optional<std::uint64_t> result_address = {}) {
    leaving_ = begin;
    result_address_ = result_address;
  }
  /// A word of its memory, once it has its registers back.
  void write_then(std::uint64_t address, std::uint64_t word) { written_then_ = {address, word}; }
  /// Of the thread itself. Precondition: stopped.
  [[nodiscard]] std::uint64_t signal_mask() const { return signal_mask_; }
  /// What it is to have instead once it is let go.
  void set_signal_mask_then(std::uint64_t mask) {
    signal_mask_ = mask;
    mask_changed_ = true;
  }

  /// The two halves of call(), for one that blocks in the kernel: begin_call() returns when the
  /// kernel has been entered, finish_call() waits for the result.
  bool begin_call(Abi abi, RemoteCall call, const std::array<std::uint64_t, 6>& arguments);
  /// The same, for the very call that it was stopped in.
  bool begin_again(Abi abi);
  Result<std::int64_t> finish_call(Abi abi) { return leave(abi, wait_any(false)); }
  /// Whether finish_call() would not have to wait.
  [[nodiscard]] bool call_is_over() const;

  struct Cloned {
    pid_t tid = 0;                   ///< in our pid namespace
    std::int64_t pid_in_caller = 0;  ///< in the caller's
  };
  /// Runs clone(2) with `flags` and no signal at exit. The new task is traced by this thread and
  /// about to stop: see adopt().
  Result<Cloned> clone_stopped(Abi abi, std::uint64_t flags);
  /// Takes charge of a task from clone_stopped().
  static PtraceStop adopt(pid_t tid) { return PtraceStop(tid); }
  /// Should we die from now on, until it is let go, so does the process: it is to run nothing of
  /// its own with what we left it.
  void die_with_us();
  /// Kills the whole process and waits for its end: for two seconds, then it is given up as by
  /// abandon(). Not for a child of ours.
  void kill();

  /// What the thread finds as the result of the call that it was stopped in, once it is let go.
  void set_result(std::int64_t result) { result_ = result; }
  /// No result reaches it: once it is let go it makes that call again, as if nothing had been.
  /// Precondition: is_in() it.
  void set_repeating() { repeating_ = true; }

  /// Lets go now. False where the thread has died, or was told to repeat its call.
  bool release();

 private:
  enum class Stop : std::uint8_t {
    kSyscall,
    kTraced,  ///< a call that its filter, or ours, wants traced
    kInterrupted,
    kSignal,  ///< about to take pending_signal_
    kFault,   ///< the same, because of what it ran
    kReplaced,
    kTimeout,
    kGone,
  };

  /// False in what was moved from.
  class Attachment {
   public:
    Attachment() = default;
    Attachment(Attachment&& other) noexcept : there_(other.end()) {}
    Attachment& operator=(Attachment&&) = delete;
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;
    ~Attachment() = default;
    /// Whether it was there.
    bool end() { return std::exchange(there_, false); }

   private:
    bool there_ = true;
  };

  struct Word {
    std::uint64_t address = 0;
    std::uint64_t value = 0;
  };

  /// An exec is to be seen, so that the new program's registers are left alone.
  static constexpr std::uint64_t kFirstOptions =
      PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP;

  explicit PtraceStop(pid_t tid) : tid_(tid) {}

  Result<void> enter(Abi abi, const Registers& entering);
  /// Whether the call that was just entered is the one that `wanted` makes; skips any other.
  Result<void> check_entry(Abi abi, const Registers& wanted);
  Result<std::int64_t> leave(Abi abi, Stop stop);
  bool resume(bool to_syscall_stop);
  Stop resume_to_stop(bool to_syscall_stop, bool bounded);
  Stop wait_any(bool bounded, const std::function<void()>& before_long_wait = {});
  [[nodiscard]] bool is_fault(int signal) const;
  bool set_options(std::uint64_t options);
  bool set_signal_mask(std::uint64_t mask);
  /// Before it runs for the first time.
  bool block_signals();
  [[nodiscard]] bool poke(const Word& word) const;
  void reap();
  bool gone() {
    reap();
    return false;
  }
  [[nodiscard]] Registers last_registers() const;
  bool set_registers(const Registers& registers) { return registers.write_to(tid_); }
  Result<Registers> read_registers() { return Registers::read(tid_); }

  pid_t tid_;
  Attachment attached_;
  bool stopped_ = false;
  std::uint64_t options_ = kFirstOptions;
  int pending_signal_ = 0;
  bool in_traced_call_ = false;  ///< which the kernel has yet to leave
  std::uint64_t event_message_ = 0;
  std::uint64_t signal_mask_ = 0;
  bool mask_changed_ = false;  ///< it has not signal_mask_, or is not to have what it has
  std::optional<Registers> saved_;
  std::optional<std::int64_t> result_;
  std::optional<Registers> leaving_;
  std::optional<std::uint64_t> result_address_;
  std::optional<Word> written_then_;
  bool repeating_ = false;
  bool waits_limited_ = false;
};

}  // namespace shmvisor
