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
      server_speaks_(loop.watch(server.fd(), POLLIN, [this](short) { hear_server(); })) {
  last_process_.emplace(loop, *listener_);
}

void ServerWatch::hear_server() {
  const JoinConnection::Heard heard = server_.hear();
  if (heard == JoinConnection::Heard::kAnswer) return;
  all_served_ = last_process_->gone();
  server_speaks_.reset();
  last_process_.reset();
  listener_.reset();
  if (heard == JoinConnection::Heard::kFarewell) {
    all_served_ = true;
    return;
  }
  spdlog::warn(
      "the server at '{}' has ended: from now on shmget and the other calls fail with ENOSYS",
      server_.path());
}

bool ServerWatch::all_gone() const {
  if (last_process_) return last_process_->gone();
  if (all_served_) return true;
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace shmvisor
