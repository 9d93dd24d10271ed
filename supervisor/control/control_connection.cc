#include "supervisor/control/control_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "supervisor/control/protocol.h"

namespace shmvisor {

void ControlConnection::read() {
  std::array<char, control::kMostRequestBytes> buffer;  // NOLINT: filled by recv
  while (!sender_ended_ && input_.size() < control::kMostRequestBytes) {
    const std::size_t room = control::kMostRequestBytes - input_.size();
    const ssize_t got = ::recv(socket_.get(), buffer.data(), room, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) sender_ended_ = true;
    if (got > 0) input_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::optional<std::string> ControlConnection::take_line() {
  const std::size_t end = input_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  return line;
}

bool ControlConnection::no_line_comes() const {
  if (input_.find('\n') != std::string::npos) return false;
  return input_.size() >= control::kMostRequestBytes || (sender_ended_ && !input_.empty());
}

void ControlConnection::add(const std::string& line) {
  // Not for each line: what is behind has to move.
  if (written_bytes_ > kMostQueuedBytes / 2) output_.erase(0, std::exchange(written_bytes_, 0));
  output_ += line;
}

bool ControlConnection::flush() {
  while (has_output()) {
    const ssize_t sent = ::send(socket_.get(), output_.data() + written_bytes_,
                                output_.size() - written_bytes_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    written_bytes_ += static_cast<std::size_t>(sent);
    taken_bytes_ += static_cast<std::size_t>(sent);
  }
  output_ = std::string();  // gives its memory back
  written_bytes_ = 0;
  return true;
}

}  // namespace shmvisor
