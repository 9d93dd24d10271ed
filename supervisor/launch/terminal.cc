#include "supervisor/launch/terminal.h"

#include <fcntl.h>
#include <unistd.h>

namespace shmvisor {

Terminal::Terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
  for (int stream = STDIN_FILENO; !fd_.valid() && stream <= STDERR_FILENO; ++stream) {
    // ENOTTY for a terminal that is not the controlling one, too.
    if (::tcgetpgrp(stream) >= 0) fd_.reset(::fcntl(stream, F_DUPFD_CLOEXEC, 3));
  }
}

bool Terminal::is_with(pid_t group) const { return present() && ::tcgetpgrp(fd_.get()) == group; }

void Terminal::hand_to(pid_t group) const { (void)::tcsetpgrp(fd_.get(), group); }

}  // namespace shmvisor
