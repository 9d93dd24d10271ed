// JoinSocket: the socket in the file system at which `run --serve` can be found.
//
// Who may connect is decided by the permissions of the file, which follow the umask, and of the
// folders above it, unix(7). A socket that nobody listens at any more, left behind by a server that
// was killed, is replaced; anything else at that path is not touched.
//
// Errors come as a sentence for the user. Ownership: the file goes with it; SocketFile. Thread
// rule: one thread.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/socket_file.h"

namespace shmvisor {

class JoinSocket {
 public:
  static std::variant<JoinSocket, std::string> listen_at(const std::string& path);

  /// Readable when somebody wants to connect.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The next connection, which does not block; invalid when there is none.
  [[nodiscard]] UniqueFd accept() const;
  /// Nobody can connect any more.
  void remove();

 private:
  JoinSocket(UniqueFd fd, SocketFile file) : fd_(std::move(fd)), file_(std::move(file)) {}

  UniqueFd fd_;
  SocketFile file_;  // goes before the socket: nobody finds it unserved
};

}  // namespace shmvisor
