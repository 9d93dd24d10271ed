#include "supervisor/launch/joining_chores.h"

#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <cerrno>

namespace shmvisor {

void JoiningChores::append_waiting(std::vector<pollfd>& waiting) const {
  if (served_) waiting.push_back({server_.fd(), POLLIN, 0});
}

void JoiningChores::turn() {
  if (!served_) return;
  pollfd heard{server_.fd(), POLLIN, 0};
  if (::poll(&heard, 1, 0) != 1) return;
  served_ = false;
  if (server_.hear_farewell()) return;
  spdlog::warn(
      "the server at '{}' has ended: from now on shmget and the other calls fail with ENOSYS",
      server_.path());
}

bool JoiningChores::all_gone() const {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace shmvisor
