#include "supervisor/http/http_client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "supervisor/kernel/plain_receive.h"

namespace shmvisor {

bool HttpClient::read() {
  std::array<char, RequestReader::kMostBytes> buffer;  // NOLINT: filled by recv
  // Once: who sends for ever has its turn again after the others.
  const ssize_t got = receive_plain(socket.fd(), buffer);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) sender_ended = true;
  if (state == State::kSends) {
    reader.take({buffer.data(), static_cast<std::size_t>(got)});
    return true;
  }
  discarded_bytes += static_cast<std::size_t>(got);
  return discarded_bytes <= kMostDiscardedBytes;
}

bool HttpClient::flush() {
  while (queued_bytes() != 0) {
    const ssize_t sent = ::send(socket.get(), output.data() + written_bytes, queued_bytes(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    written_bytes += static_cast<std::size_t>(sent);
    since = EventLoop::Clock::now();
  }
  output = std::string();  // gives its memory back
  written_bytes = 0;
  return true;
}

}  // namespace shmvisor
