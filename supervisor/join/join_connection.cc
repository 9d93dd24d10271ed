#include "supervisor/join/join_connection.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "supervisor/credentials/user_namespace.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/socket_address.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kPatience(10'000);
constexpr std::chrono::milliseconds kFirstPause(20);
constexpr std::chrono::milliseconds kLongestPause(500);
constexpr std::chrono::milliseconds kTriesEnd(5'000);

/// The tries of one step. The next server of a keeper comes soon, but on a busy machine not at
/// once. The pauses grow, so that many visitors who make room for each other do not keep a server
/// busy.
class Tries {
 public:
  /// Sleeps before the next try. False where it would come too late.
  [[nodiscard]] bool wait_for_next() {
    if (std::chrono::steady_clock::now() + pause_ > end_) return false;
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(2 * pause_, kLongestPause);
    return true;
  }

 private:
  std::chrono::milliseconds pause_ = kFirstPause;
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + kTriesEnd;
};

bool wait_readable(int fd) {
  pollfd readable{fd, POLLIN, 0};
  return poll_files({&readable, 1}, kPatience) == 1;
}

std::string no_server(const JoinPlace& place, const std::string& why) {
  return "no shmvisor serves at '" + place.path + "': " + why +
         "; start one with 'shmvisor run --serve " + place.words() + "' first";
}

/// connect(2) refuses another file in the same words as a socket at which nobody listens.
bool is_another_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode);
}

}  // namespace

Result<JoinConnection, JoinConnection::Trouble> JoinConnection::to(const JoinPlace& place) {
  for (Tries tries;;) {
    bool ended = false;
    auto connection = to(place, ended);
    // Perhaps it was a keeper's server, and the next one answers all who wait at the same socket.
    if (connection || !ended || !tries.wait_for_next()) return connection;
  }
}

Result<JoinConnection, JoinConnection::Trouble> JoinConnection::to(const JoinPlace& place,
                                                                   bool& ended) {
  const std::string& path = place.path;
  const auto address = SocketAddress::of(path);
  if (!address) return Trouble{no_server(place, std::strerror(address.error().value()))};
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  // The bound holds for connect(2), too, which waits while the server accepts no connection.
  const timeval patience{kPatience.count() / 1000, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (::connect(fd.get(), address->get(), SocketAddress::size_bytes()) != 0) {
    const int error = errno;
    if (error == EACCES) {
      return Trouble{"may not connect to '" + path +
                     "': the permissions of the socket or of a folder above it forbid it"};
    }
    if (error == ECONNREFUSED && is_another_file(path)) {
      return Trouble{"'" + path + "' is there, and is no socket"};
    }
    if (error == EPROTOTYPE) return Trouble{"'" + path + "' is the socket of another program"};
    return Trouble{no_server(place, error == EAGAIN ? "it accepts nobody" : std::strerror(error)),
                   error == ENOENT || error == ECONNREFUSED};
  }
  ucred server{};
  socklen_t size = sizeof(server);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &server, &size);
  if ((server.uid != 0 && server.uid != ::geteuid()) || !is_unambiguous(server.uid)) {
    return Trouble{"the server at '" + path + "' belongs to user " + std::to_string(server.uid) +
                   "; only one of root or of this user may answer the command's calls"};
  }
  join::Greeting greeting;
  const bool patient = wait_readable(fd.get());
  const auto greeted = patient ? receive_message(fd.get(), greeting) : Errno(ETIMEDOUT);
  if (!greeted || greeting.words != join::kGreetingWords) {
    // A server that ends closes without a word.
    ended = patient && !greeted && greeted.error() != Errno(EBADMSG);
    return Trouble{
        "what listens at '" + path + "' does not answer as this version of shmvisor does", ended};
  }
  return JoinConnection(std::move(fd), place);
}

Result<JoinConnection::Accepted, JoinConnection::Trouble> JoinConnection::hand_over(
    const UniqueFd& listener, const UniqueFd& user_namespace,
    std::chrono::milliseconds tracer_wait) {
  join::Request request;
  request.wants_files = user_namespace.valid() ? 1 : 0;
  request.tracer_wait_ms = static_cast<std::uint32_t>(tracer_wait.count());
  const std::array fds{listener.get(), user_namespace.get()};
  join::Answer answer;
  Accepted accepted;
  for (Tries tries;;) {
    const bool asked =
        send_message(fd_.get(), request, std::span(fds).first(request.wants_files != 0 ? 2 : 1))
            .ok();
    const bool patient = !asked || wait_readable(fd_.get());
    if (asked && patient) {
      if (auto received = receive_message(fd_.get(), answer)) {
        accepted.mount = std::move(received->at(0));
        break;
      }
    }
    const std::string trouble = "the server at '" + path() + "' ended, or does not answer";
    if (!patient || !tries.wait_for_next()) return Trouble{trouble};
    if (const auto connected = connect_again(); !connected) {
      const Trouble& refusal = connected.error();
      return Trouble{trouble + "; then " + refusal.text, refusal.nobody_serves};
    }
  }
  accepted.missing = answer.missing;
  if (answer.accepted != 0) return accepted;
  answer.reason.back() = '\0';
  return Trouble{"the server at '" + path() + "' refuses: " + answer.reason.data()};
}

Result<void, JoinConnection::Trouble> JoinConnection::connect_again() {
  auto connection = to(place_);
  if (!connection) return connection.error();
  *this = std::move(*connection);
  return {};
}

JoinConnection::Heard JoinConnection::hear() const {
  join::Farewell farewell;
  const auto heard = receive_message(fd_.get(), farewell);
  if (heard) return Heard::kFarewell;
  return heard.error() == Errno(EBADMSG) ? Heard::kAnswer : Heard::kEnd;  // it has another size
}

}  // namespace shmvisor
