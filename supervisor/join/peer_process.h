// PeerProcess: the process that made a connection, unix(7): its number, who pays for it, and
// whether it lives.
//
// It may be gone, and its number another's. Before Linux 6.5 it is told by its user, so that its
// number can have come to mean only another process of that one.
//
// Ownership: a pidfd, where the process can be told for sure. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class PeerProcess {
 public:
  PeerProcess() = default;
  static PeerProcess of(const UniqueFd& connection);

  /// In our pid namespace; 0: it cannot be seen from there.
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uid_t user() const { return user_; }
  /// Who is charged for it. All whose process cannot be told are one user, or whoever has many uids
  /// would be many by ending at once.
  [[nodiscard]] uid_t payer() const { return payer_; }
  /// Whether its number still means it.
  [[nodiscard]] bool lives() const;
  /// Readable when it has ended; invalid where it cannot be told for sure.
  [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }

 private:
  UniqueFd pidfd_;
  pid_t pid_ = 0;
  uid_t user_ = 0;
  uid_t payer_ = 0;
};

}  // namespace shmvisor
