// Terminal: our controlling terminal, where we have one, tty_ioctl(4).
//
// Found through /dev/tty, or, in an image without that file, through a standard stream.
// Ownership: a descriptor of its own. Thread rule: a value of the main thread; hand_to() is
// async-signal-safe. SIGTTOU must be blocked: changing the foreground group from the background
// would otherwise stop us.
#pragma once

#include <sys/types.h>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class Terminal {
 public:
  Terminal();

  [[nodiscard]] bool present() const { return fd_.valid(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether the foreground process group is `group`.
  [[nodiscard]] bool is_with(pid_t group) const;
  /// Makes `group`, of our session, the foreground process group.
  void hand_to(pid_t group) const;

 private:
  UniqueFd fd_;
};

}  // namespace shmvisor
