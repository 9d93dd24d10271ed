// HeldProcess: a process none of whose threads runs its own code, for a moment.
//
// Each thread is seized and asked to stop. A thread that is in the kernel and stays there, in the
// middle of a vfork(2) or of a call that waits for our answer, stops before it is back in its own
// code, and is not waited for. So after kGrace nobody but the calling thread changes the process's
// memory. No call is answered meanwhile: a process is to be held for moments.
//
// Everything is let go as it was by the destructor. Threads that had not stopped until then are
// abandoned (Tracee::abandon()): the calling thread is to end soon. Nobody is killed unless we are,
// while a call of ours runs.
//
// Thread rule: all members on one thread, for which KickTimer is allowed; waits for the process,
// within bounds, but for an exec of it (AttachedThread::attach()).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <list>
#include <memory>
#include <set>

#include "policy/base/result.h"
#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/stopped_thread.h"

namespace shmvisor {

class HeldProcess {
 public:
  /// For threads that are in the kernel.
  static constexpr std::chrono::milliseconds kGrace{200};
  /// For a thread of ours, or of somebody else's, that traces a thread of the process.
  static constexpr std::chrono::milliseconds kForTracers{1000};

  enum class Trouble : std::uint8_t {
    kGone,
    kTraced,      ///< by somebody else
    kOutOfReach,  ///< we may not trace it
    kInExec,
    kStaysInKernel,  ///< none of its threads stops
    kNoMeans,        ///< memory or descriptors are short
  };

  static Result<HeldProcess, Trouble> hold(pid_t pid);
  HeldProcess(HeldProcess&&) noexcept = default;
  HeldProcess& operator=(HeldProcess&&) = delete;
  HeldProcess(const HeldProcess&) = delete;
  HeldProcess& operator=(const HeldProcess&) = delete;
  ~HeldProcess();

  /// A thread that can run calls (StoppedThread::call()). Null where none can.
  StoppedThread* worker();

 private:
  explicit HeldProcess(pid_t pid) : pid_(pid) {}

  /// False where all were known.
  Result<bool, Trouble> take_new_threads();
  Result<void, Trouble> take(pid_t tid);
  void take_stops();

  pid_t pid_;
  std::set<pid_t> known_;
  std::list<AttachedThread> moving_;
  std::list<StoppedThread> stopped_;
};

}  // namespace shmvisor
