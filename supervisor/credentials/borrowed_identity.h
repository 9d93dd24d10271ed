// BorrowedIdentity: the calling thread, alone, has another process's user and group for a moment.
//
// A supervisor that is root in a container, but without CAP_SYS_PTRACE, may neither read nor ptrace
// a process that became another user, nor signal it without CAP_KILL; a thread of that user may.
// With CAP_SETUID and CAP_SETGID, which such a process must have had itself, our thread can become
// that user. Use it only where our own identity was refused (with_identity_of()), and for one
// operation.
//
// The ids that each extent changes, and what it allows (__ptrace_may_access() of kernel/ptrace.c,
// kill_ok_by_cred() of kernel/signal.c; all seen on Linux 6.18):
//   kFiles    fsuid, fsgid             open or stat files of /proc/PID
//   kSignals  effective uid            kill(2)
//   kAll      real and effective ids   ptrace(2), process_vm_readv(2); and files of a process in a
//                                      user namespace that its user made
// Without CAP_SYS_PTRACE three kinds of processes stay out of reach: those that are not dumpable
// (they changed their user without an exec since, or asked for it), those with capabilities that we
// lack, and those in another user's user namespace.
//
// What a hostile process could do to us meanwhile:
//   ptrace us, read our memory or descriptors: never. That takes all three uids, and the saved one
//     stays ours; nor do we depend on being undumpable, which the kernel makes us at the first
//     change of an effective or filesystem id (commit_creds()), but not with fs.suid_dumpable=1.
//   signal us: with kAll, for a few microseconds, because the real uid is what both ptrace and
//     kill(2) look at. Signals are process-wide, so SIGKILL would end us. As PID 1 of a container
//     we are out of its reach (SIGNAL_UNKILLABLE); elsewhere CAP_SYS_PTRACE closes the gap.
//   change the thread's scheduling: likewise.
// Supplementary groups stay ours: none of these checks looks at them. Within kFiles and kAll files
// are made and opened as the other user: no memfd is to be made, opened or leased meanwhile.
//
// Changes are made by raw system calls, because the C library's act on all threads.
// Thread rule: destroyed on the thread that made it; does not nest.
#pragma once

#include <sys/types.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {

class BorrowedIdentity {
 public:
  enum class Extent : std::uint8_t { kFiles, kSignals, kAll };

  /// EPERM where the process is gone, has our identity, or we may not take its identity; EMFILE and
  /// the like (is_shortage()) where its identity cannot be read.
  static Result<BorrowedIdentity> of(pid_t tid, Extent extent);

  BorrowedIdentity(BorrowedIdentity&& other) noexcept
      : extent_(other.extent_), held_(std::exchange(other.held_, false)) {}
  BorrowedIdentity& operator=(BorrowedIdentity&&) = delete;
  BorrowedIdentity(const BorrowedIdentity&) = delete;
  BorrowedIdentity& operator=(const BorrowedIdentity&) = delete;
  ~BorrowedIdentity();

 private:
  explicit BorrowedIdentity(Extent extent) : extent_(extent) {}

  Extent extent_;
  bool held_ = true;
};

/// Runs `operation`, which returns a Result, with our identity; where that is refused (EPERM,
/// EACCES), with each of `extents` of the process's identity in turn, the smallest first. A
/// shortage on our side is returned as it is.
template <typename Operation>
auto with_identity_of(pid_t tid, std::span<const BorrowedIdentity::Extent> extents,
                      Operation operation) -> decltype(operation()) {
  const auto refused = [](const auto& outcome) {
    return !outcome.ok() && (outcome.error() == Errno(EPERM) || outcome.error() == Errno(EACCES));
  };
  auto first = operation();
  if (!refused(first)) return first;
  for (const BorrowedIdentity::Extent extent : extents) {
    const auto borrowed = BorrowedIdentity::of(tid, extent);
    if (!borrowed && is_shortage(borrowed.error())) return borrowed.error();
    if (!borrowed) break;
    auto again = operation();
    if (!refused(again)) return again;
  }
  return first;
}

inline constexpr std::array kToRead = {BorrowedIdentity::Extent::kFiles,
                                       BorrowedIdentity::Extent::kAll};
inline constexpr std::array kToTrace = {BorrowedIdentity::Extent::kAll};
inline constexpr std::array kToSignal = {BorrowedIdentity::Extent::kSignals};

/// open_proc_file() of a file that only a process with the right to trace may open.
inline Result<UniqueFd> open_guarded_proc_file(pid_t tid, const char* name) {
  return with_identity_of(tid, kToRead, [&] { return open_proc_file(tid, name); });
}

}  // namespace shmvisor
