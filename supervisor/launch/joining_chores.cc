#include "supervisor/launch/joining_chores.h"

#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <cerrno>

namespace shmvisor {

void JoiningChores::append_waiting(std::vector<pollfd>& waiting) const {
  if (!listener_) return;
  waiting.push_back({server_.fd(), POLLIN, 0});
  waiting.push_back({ended_ ? -1 : listener_->fd(), 0, 0});  // its end alone: POLLHUP
}

void JoiningChores::turn() {
  if (!listener_) return;
  ended_ = ended_ || listener_->ended();
  pollfd heard{server_.fd(), POLLIN, 0};
  if (::poll(&heard, 1, 0) != 1) return;
  listener_.reset();
  if (server_.hear_farewell()) {
    ended_ = true;
    return;
  }
  spdlog::warn(
      "the server at '{}' has ended: from now on shmget and the other calls fail with ENOSYS",
      server_.path());
}

bool JoiningChores::all_gone() const {
  if (ended_ || listener_) return ended_;
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace shmvisor
