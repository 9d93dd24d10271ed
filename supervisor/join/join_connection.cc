#include "supervisor/join/join_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "supervisor/join/join_messages.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/socket_address.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr int kMostTries = 5;

bool wait_readable(int fd) {
  pollfd readable{fd, POLLIN, 0};
  return ::poll(&readable, 1, kPatienceMs) == 1;
}

std::string no_server(const std::string& path, const std::string& why) {
  return "no shmvisor serves at '" + path + "': " + why +
         "; start one with 'shmvisor run --serve " + path + "' first";
}

}  // namespace

std::variant<JoinConnection, std::string> JoinConnection::to(const std::string& path) {
  const auto address = SocketAddress::of(path);
  if (!address) return no_server(path, std::strerror(address.error().value()));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  // It holds for connect(2), too, which waits while the server accepts nobody.
  const timeval patience{kPatienceMs / 1000, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (::connect(fd.get(), address->get(), SocketAddress::size_bytes()) != 0) {
    const int error = errno;
    if (error == EACCES) {
      return "may not connect to '" + path +
             "': the permissions of the socket or of a folder above "
             "it forbid it";
    }
    return no_server(path, error == EAGAIN ? "it accepts nobody" : std::strerror(error));
  }
  ucred server{};
  socklen_t size = sizeof(server);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &server, &size);
  if (server.uid != 0 && server.uid != ::geteuid()) {
    return "the server at '" + path + "' belongs to user " + std::to_string(server.uid) +
           "; only one of root or of this user may answer the command's calls";
  }
  join::Greeting greeting;
  if (!wait_readable(fd.get()) || !receive_message(fd.get(), greeting) ||
      greeting.words != join::kGreetingWords) {
    return "what listens at '" + path + "' does not answer as this version of shmvisor does";
  }
  JoinConnection connection(std::move(fd), path);
  connection.same_pid_namespace_ = greeting.pid_namespace == NamespaceIds::ours().pid;
  return connection;
}

std::optional<std::string> JoinConnection::hand_over(pid_t command, const UniqueFd& listener,
                                                     WaitKind wait_kind, const UniqueFd& files) {
  join::Request request;
  request.command = command;
  request.wait_kind = wait_kind;
  const std::array fds{listener.get(), files.get()};
  join::Answer answer;
  for (int tries = 1;; ++tries) {
    const bool asked =
        send_message(fd_.get(), request, std::span(fds).first(files.valid() ? 2 : 1)).ok();
    const bool patient = !asked || wait_readable(fd_.get());
    if (asked && patient && receive_message(fd_.get(), answer)) break;
    const std::string trouble = "the server at '" + path_ + "' ended, or does not answer";
    if (!patient || tries == kMostTries) return trouble;
    if (const auto refusal = connect_again()) return trouble + "; then " + *refusal;
  }
  if (answer.accepted) return std::nullopt;
  answer.reason.back() = '\0';
  return "the server at '" + path_ + "' refuses: " + answer.reason.data();
}

std::optional<std::string> JoinConnection::connect_again() {
  auto connection = to(path_);
  if (auto* const trouble = std::get_if<std::string>(&connection)) return std::move(*trouble);
  auto& other = std::get<JoinConnection>(connection);
  if (other.same_pid_namespace_ != same_pid_namespace_) return "another server is there";
  *this = std::move(other);
  return std::nullopt;
}

bool JoinConnection::hear_farewell() const {
  join::Farewell farewell;
  return receive_message(fd_.get(), farewell).ok();
}

}  // namespace shmvisor
