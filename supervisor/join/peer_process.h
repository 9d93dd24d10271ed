// PeerProcess: the process that made a connection, unix(7): its pid, the user to charge, and
// whether it lives.
//
// It may be gone, and its pid another process's. Linux 6.5 and newer give a pidfd of the peer;
// before, its user is compared, so that the pid can only have come to mean another process of that
// user.
//
// Ownership: a pidfd, where the peer is known for sure. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class PeerProcess {
 public:
  PeerProcess() = default;
  static PeerProcess of(const UniqueFd& connection);

  /// In our pid namespace; 0 for a process outside.
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uid_t user() const { return user_; }
  /// The user to charge. All peers whose process is not known, or whose user cannot be told at once
  /// (accountable_user.h), count as one user: otherwise a user with many uids could be many by
  /// ending its processes at once.
  [[nodiscard]] uid_t payer() const { return payer_; }
  /// Whether its pid still is its own.
  [[nodiscard]] bool lives() const;
  /// Readable when the peer has ended; invalid where it is not known for sure.
  [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }

 private:
  UniqueFd pidfd_;
  pid_t pid_ = 0;
  uid_t user_ = 0;
  uid_t payer_ = 0;
};

}  // namespace shmvisor
