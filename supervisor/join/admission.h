// Admission: on a thread of its own, receives a visitor's request and prepares what is needed to
// admit its command: whether we can reach its processes, and a file system for its /proc.
//
// A visitor can make both last as long as it likes: by the files that it sends
// (receive_screened()), and by an exec that reads from a file system of its own, for which
// process_vm_readv(2) waits (exec_update_lock). So the main loop waits for the findings for a
// bounded time, and then forgets the thread. The thread ends when the visitor ends or lets it, and
// uses only what it shares with this object.
//
// Ownership: take() gives the findings away. Thread rule: one thread, beside its own.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <memory>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/join/screening.h"
#include "supervisor/procfiles/fuse_mount.h"

namespace shmvisor {

class Admission {
 public:
  struct Findings {
    bool heard = false;          ///< a request came; it is `asked`
    bool out_of_memory = false;  ///< what is found is not all
    ScreenedRequest asked;
    bool within_reach = false;
    FuseMount files;           ///< where they were wanted
    ProcMountFailure missing;  ///< why there are none
    UniqueFd user_namespace;   ///< the command's, where it is not ours
    Result<UniqueFd> ipc_namespace = Errno(ESRCH);
  };

  /// `payer`: the user to charge. `connection`: has a message; borrowed.
  /// Errors: EAGAIN where no thread, EMFILE where no descriptor can be created.
  static Result<std::shared_ptr<Admission>> begin(pid_t pid, uid_t payer,
                                                  const UniqueFd& connection);

  /// Readable when the admission has ended.
  [[nodiscard]] int fd() const { return over_event_.get(); }
  /// Whether the findings are there. The order of memory comes from here, not from fd().
  [[nodiscard]] bool over() const { return over_.load(); }
  /// Precondition: over() was true. Once.
  [[nodiscard]] Findings take() { return std::move(findings_); }

  Admission(pid_t pid, uid_t payer, UniqueFd connection, UniqueFd over_event)
      : pid_(pid), connection_(std::move(connection)), over_event_(std::move(over_event)) {
    room_.socket.charge(payer);
    room_.listener.charge(payer);
  }

 private:
  void run() noexcept;
  void find(Result<ScreenedRequest> asked);
  void look_into(Result<ScreenedRequest> asked);

  const pid_t pid_;
  UniqueFd connection_;  ///< until it was heard
  ScreeningRoom room_;
  const UniqueFd over_event_;
  Findings findings_;  ///< the thread's until it has ended
  std::atomic<bool> over_{false};
};

}  // namespace shmvisor
