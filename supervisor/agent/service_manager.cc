#include "supervisor/agent/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>

#include "policy/base/shortage.h"

namespace shmvisor {
namespace {

constexpr int kFirstSocket = 3;  // SD_LISTEN_FDS_START
constexpr int kMostSockets = 64;

/// Takes the variable's value out of the environment, so that no other process takes it for its
/// own.
std::string take_variable(const char* name) {
  const char* const value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);
  return taken;
}

/// -1 where it is no number.
int as_number(std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

}  // namespace

ServiceManager::ServiceManager() : address_(take_variable("NOTIFY_SOCKET")) {
  const bool for_us = as_number(take_variable("LISTEN_PID")) == getpid();
  const int count = as_number(take_variable("LISTEN_FDS"));
  take_variable("LISTEN_FDNAMES");
  if (!for_us || count <= 0 || count > kMostSockets) return;
  for (int fd = kFirstSocket; fd < kFirstSocket + count; ++fd) {
    // What is not open would be closed when it is something of ours.
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) sockets_.emplace_back(fd);
  }
}

Result<void> ServiceManager::notify(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (address_.empty() || address_.size() >= sizeof(address.sun_path)) return {};
  address_.copy(address.sun_path, address_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // unix(7), abstract
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() && is_shortage(Errno::current())) return Errno(EAGAIN);
  const ssize_t sent =
      ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size()));
  if (sent < 0 && errno == EAGAIN) return Errno(EAGAIN);
  return {};
}

}  // namespace shmvisor
