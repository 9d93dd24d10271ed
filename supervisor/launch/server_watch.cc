#include "supervisor/launch/server_watch.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <cerrno>
#include <utility>

namespace shmvisor {

ServerWatch::ServerWatch(EventLoop& loop, const JoinConnection& server, UniqueFd listener)
    : server_(server),
      listener_(std::move(listener)),
      server_speaks_(loop.watch(server.fd(), POLLIN, [this](short) { hear_server(); })),
      listener_ended_(loop.watch(listener_->fd(), 0, [this](short) {
        ended_ = true;
        listener_ended_.reset();
      })) {}

void ServerWatch::hear_server() {
  server_speaks_.reset();
  listener_ended_.reset();
  listener_.reset();
  if (server_.hear_farewell()) {
    ended_ = true;
    return;
  }
  spdlog::warn(
      "the server at '{}' has ended: from now on shmget and the other calls fail with ENOSYS",
      server_.path());
}

bool ServerWatch::all_gone() const {
  if (ended_ || listener_) return ended_;
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace shmvisor
