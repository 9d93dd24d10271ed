// ParentWatch: tells when the process that is our parent has ended.
//
// By a pidfd, so that it is the process that counts and not the thread that started us, as it would
// be with PR_SET_PDEATHSIG, prctl(2). Where the parent cannot be had so (it lives outside of our
// pid namespace, or pidfd_open(2) is forbidden) that is what is used: SIGKILL ends us then.
//
// Ownership: a descriptor. Thread rule: made by the main thread.
#pragma once

#include "policy/base/unique_fd.h"

namespace shmvisor {

class ParentWatch {
 public:
  ParentWatch();

  /// Readable when the parent has ended; -1 where the kernel will tell us by itself.
  [[nodiscard]] int fd() const { return pidfd_.get(); }

 private:
  UniqueFd pidfd_;
};

}  // namespace shmvisor
