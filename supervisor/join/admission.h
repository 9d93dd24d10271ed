// Admission: hears what a visitor wants, and asks the kernel what must be known before a command is
// taken in, on a thread of its own: whether its processes can be reached at all, and a file system
// for its /proc.
//
// A visitor can make both last as long as it likes: by the files that it sends
// (receive_screened()), and process_vm_readv(2) waits for an exec that is under way
// (exec_update_lock), which may read from a file system of the visitor's. So whoever waits for the
// findings does so for a bounded time, and forgets the thread otherwise: it ends when the visitor
// does, or lets it, and touches nothing but what it shares with this object.
//
// Ownership: the findings go to whoever takes them. Thread rule: one thread, beside its own.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/join/screening.h"
#include "supervisor/procfiles/fuse_mount.h"

namespace shmvisor {

class Admission {
 public:
  struct Findings {
    bool heard = false;  ///< that it sent a request, which is `asked`
    ScreenedRequest asked;
    bool within_reach = false;
    FuseMount files;           ///< where they were wanted
    ProcMountFailure missing;  ///< why there are none
    UniqueFd user_namespace;   ///< the command's, where it is not ours
  };

  /// `connection`: has a message. Stays the caller's.
  /// Errors: EAGAIN where the thread, EMFILE where a descriptor cannot be had.
  static Result<std::shared_ptr<Admission>> begin(pid_t pid, const UniqueFd& connection);

  /// Readable when it is over.
  [[nodiscard]] int fd() const { return over_event_.get(); }
  [[nodiscard]] bool over() const { return over_.load(); }
  /// Precondition: over(). Once.
  [[nodiscard]] Findings take() { return std::move(findings_); }

  Admission(pid_t pid, UniqueFd connection, UniqueFd over_event)
      : pid_(pid), connection_(std::move(connection)), over_event_(std::move(over_event)) {}

 private:
  void run();
  void find(Result<ScreenedRequest> asked);

  const pid_t pid_;
  UniqueFd connection_;  ///< until it was heard
  const UniqueFd over_event_;
  Findings findings_;  ///< the thread's until it is over
  std::atomic<bool> over_{false};
};

}  // namespace shmvisor
