// StoppedThread: a thread of somebody else's, held in a ptrace-stop for a moment. It is let go as
// it was.
//
// While it runs anything for us all its signals are blocked (PTRACE_SETSIGMASK), so that no handler
// of its runs between two calls of ours. To block them only when one comes would be too late,
// because real-time signals that are queued again lose their order. Those of faults stay as they
// are, because a fault resets the disposition of a signal that is blocked (kernel/signal.c:
// force_sig_info_to_task()). The destructor restores registers and signal mask and detaches.
//
// A stop can end at any time by SIGKILL, or by another thread's execve(2). Every member then
// answers ESRCH, and letting go does nothing.
//
// How a call is run: the registers are set to enter the kernel again (Registers), and the thread
// goes from one syscall-stop to the next. PTRACE_SINGLESTEP would need half as many stops, but its
// SIGTRAP is forced: it resets the disposition of a thread that ignores or blocks SIGTRAP.
//
// Thread rule: all members on the thread that attached.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "emulation/abi/shm_abi.h"
#include "policy/base/result.h"
#include "supervisor/inject/arch/registers.h"
#include "supervisor/inject/departure.h"
#include "supervisor/inject/tracee.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class StoppedThread {
 public:
  /// An exec is to be seen, so that the new program's registers are left alone.
  static constexpr std::uint64_t kOptions =
      PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP;

  /// A tracee that has stopped, with kOptions. ESRCH where it is gone since.
  static Result<StoppedThread> take(Tracee tracee);

  StoppedThread(StoppedThread&&) noexcept = default;
  StoppedThread& operator=(StoppedThread&&) = delete;
  StoppedThread(const StoppedThread&) = delete;
  StoppedThread& operator=(const StoppedThread&) = delete;
  ~StoppedThread() { release(); }

  [[nodiscard]] pid_t tid() const { return tracee_.tid(); }
  /// What its registers were when it stopped.
  [[nodiscard]] const Registers& registers() const { return registers_; }
  /// Of the thread itself.
  [[nodiscard]] std::uint64_t signal_mask() const { return signal_mask_; }
  /// For a thread that was stopped on its way out of the call `data`: see Registers::leaving().
  void is_leaving(const seccomp_data& data, std::int64_t order) {
    registers_ = registers_.leaving(data, order);
  }
  /// Whether it is on its way out of the call `data`, holds no signal that it was about to take,
  /// and nothing but the way out is missing of it.
  [[nodiscard]] bool is_in(const seccomp_data& data) const {
    return !replaced_ && tracee_.pending_signal() == 0 && registers_.is_in(data);
  }
  /// What it would find as the result of that call.
  [[nodiscard]] std::int64_t found_result(Abi abi) const { return registers_.result(abi); }
  /// Changes the last argument of that call at once, until it is let go, and has it make the call
  /// again by `order`: which it does with `mark` should we die before.
  bool mark_call(Abi abi, std::uint64_t mark, std::int64_t order) {
    return set_registers(registers_.with_last_argument(abi, mark).ordered(order));
  }
  /// Of a thread that makes such a call again: it has `argument` instead once it is let go.
  void unmark_call(Abi abi, std::uint64_t argument) {
    registers_ = registers_.with_last_argument(abi, argument);
  }
  /// Eight bytes of its memory.
  [[nodiscard]] std::optional<std::uint64_t> peek(std::uint64_t address) const {
    return tracee_.peek(address);
  }
  /// Changes them at once, in memory that it may only read or execute too. False where they are not
  /// there, or shared.
  bool poke(std::uint64_t address, std::uint64_t word) { return tracee_.poke(address, word); }

  /// For a thread that was stopped anywhere, in its own code or in a call that the stop
  /// interrupted: its calls are made by the instruction at `address`. When it is let go, the kernel
  /// decides anew what becomes of the interrupted call, by the signals that there are then.
  void enter_at(std::uint64_t address) { entry_ = registers_.behind_entry_at(address); }
  /// Runs one system call in it. The result is the kernel's: a value, or an errno negated.
  /// Errors: ESRCH, and EACCES where the thread does not run what it should.
  Result<std::int64_t> call(Abi abi, RemoteCall call,
                            const std::array<std::uint64_t, 6>& arguments);

  /// A call that it has entered, and that may block in the kernel.
  class BlockingCall {
   public:
    /// Whether finish() would not have to wait.
    [[nodiscard]] bool over() const { return thread_->tracee_.has_news(); }
    /// Ends a wait that signals can end.
    Result<void> interrupt() { return thread_->tracee_.interrupt(); }
    /// Waits for the result.
    Result<std::int64_t> finish() {
      return thread_->result_after(abi_, thread_->wait(Tracee::Wait::kWhileItTakes));
    }

   private:
    friend class StoppedThread;
    BlockingCall(StoppedThread& thread, Abi abi) : thread_(&thread), abi_(abi) {}
    StoppedThread* thread_;
    Abi abi_;
  };
  /// Returns when the kernel has been entered. To be finished before anything else is run. Errors:
  /// as call()'s.
  Result<BlockingCall> begin_call(Abi abi, RemoteCall call,
                                  const std::array<std::uint64_t, 6>& arguments);
  /// The same, with the very call that it was stopped in.
  Result<BlockingCall> begin_again(Abi abi);

  /// Runs it from `begin` until it makes a call that the filter wants traced (kTracedArgument); the
  /// code there is to end well without us too. What its registers are then; or where it got no
  /// further, because of a fault or an endless loop. Errors: ESRCH.
  Result<Registers> run(const Registers& begin);

  struct Cloned {
    pid_t tid = 0;                   ///< in our pid namespace
    std::int64_t pid_in_caller = 0;  ///< in the caller's
  };
  /// Runs clone(2) with `flags` and no signal at exit. The new task is traced by this thread and
  /// about to stop: see AttachedThread::adopt().
  Result<Cloned> clone_stopped(Abi abi, std::uint64_t flags);
  /// Should we die before the thread is let go, its process dies too: it is to run nothing of its
  /// own with the registers that we gave it.
  void die_with_us() { (void)tracee_.add_option(PTRACE_O_EXITKILL); }
  /// Kills the whole process and waits for its end: for two seconds, then it is abandoned
  /// (Tracee::abandon()). Not for a child of ours.
  void kill() { tracee_.kill(); }

  /// Whether it may run code of ours untraced: nobody would be there to see a signal that it was
  /// about to take, a step, or a call that system call user dispatch sends back to the program
  /// (where the kernel cannot tell, before Linux 6.4, it may not).
  [[nodiscard]] bool may_run_untraced(KernelFeatures& features) const;
  /// Once the thread is let go it runs from `begin`, whatever its result, with all signals blocked;
  /// faults too, because a fault's signal can be sent. The code there restores signal_mask().
  /// SIGSYS is not blocked, because a filter of the program's own may raise it there; a SIGSYS that
  /// is sent is handled there as well. The result of the call is written to `result_address` of the
  /// thread's memory, if that is given.
  void go_on_from(const Registers& begin, std::optional<std::uint64_t> result_address = {}) {
    departure_.code = Departure::Code{begin, result_address};
  }
  /// A word of its memory, once it is let go and has its registers back.
  void write_then(std::uint64_t address, std::uint64_t word) {
    departure_.word = Departure::Word{address, word};
  }
  /// The signal mask that it is to have instead once it is let go.
  void set_signal_mask_then(std::uint64_t mask) {
    signal_mask_ = mask;
    mask_differs_ = true;
  }
  /// What the thread finds as the result of the call that it was stopped in, once it is let go.
  void set_result(std::int64_t result) { departure_.result = result; }
  /// No result reaches it: once it is let go it makes that call again, as if nothing had been.
  /// Precondition: is_in() it.
  void set_repeating() { departure_.repeats = true; }

  /// Lets go now. False where the thread has died, or was told to repeat its call.
  bool release();

 private:
  StoppedThread(Tracee tracee, const Registers& registers, std::uint64_t signal_mask)
      : tracee_(std::move(tracee)), registers_(registers), signal_mask_(signal_mask) {}

  Result<void> enter(Abi abi, const Registers& entering);
  /// Whether the call that was just entered is the call that `wanted` makes; skips any other.
  Result<void> check_entry(Abi abi, const Registers& wanted);
  /// `stop`: on the way out of a call.
  Result<std::int64_t> result_after(Abi abi, Tracee::Stop stop);
  /// Takes the thread from behind a call of ours to a stop like the stop that it was found in.
  bool stop_anew();
  [[nodiscard]] const Registers& base() const { return entry_ ? *entry_ : registers_; }
  bool resume(bool to_syscall_stop);
  Tracee::Stop resume_to_stop(bool to_syscall_stop, Tracee::Wait wait);
  Tracee::Stop wait(Tracee::Wait wait);
  /// Before it runs for the first time.
  bool block_signals();
  bool set_registers(const Registers& registers) { return registers.write_to(tid()); }

  Tracee tracee_;
  Registers registers_;
  std::optional<Registers> entry_;  ///< where calls are to be made from instead
  bool has_called_ = false;
  std::uint64_t signal_mask_;
  bool mask_differs_ = false;    ///< it has not signal_mask_, or is not to have what it has
  bool replaced_ = false;        ///< by another program, to which registers_ mean nothing
  bool in_traced_call_ = false;  ///< which the kernel has yet to leave
  Departure departure_;
};

}  // namespace shmvisor
