#include "supervisor/control/control_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "supervisor/control/protocol.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/plain_receive.h"

namespace shmvisor {

void ControlConnection::read() {
  std::array<char, control::kMostRequestBytes> buffer;  // NOLINT: filled by recv
  while (!sender_ended_ && input_.size() < control::kMostRequestBytes) {
    const std::size_t room = control::kMostRequestBytes - input_.size();
    const ssize_t got = receive_plain(socket_.fd(), std::span(buffer).first(room));
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

void ControlConnection::add(const std::string& line, UniqueFd file) {
  if (file.valid()) file_ = std::move(file);
  // Not for each line: what is behind has to move.
  if (written_bytes_ > kMostQueuedBytes / 2) output_.erase(0, std::exchange(written_bytes_, 0));
  output_ += line;
}

bool ControlConnection::flush() {
  while (has_output()) {
    const auto rest = std::as_bytes(std::span(output_)).subspan(written_bytes_);
    const int fd = file_.get();
    const auto sent = send_some(socket_.get(), rest, {&fd, file_.valid() ? 1U : 0U}, MSG_DONTWAIT);
    if (!sent) return sent.error() == Errno(EAGAIN);
    file_.reset();
    written_bytes_ += *sent;
    taken_bytes_ += *sent;
  }
  output_ = std::string();  // gives its memory back
  written_bytes_ = 0;
  return true;
}

}  // namespace shmvisor
