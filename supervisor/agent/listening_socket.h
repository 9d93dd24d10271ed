// ListeningSocket: where container runtimes connect, unix(7), SOCK_STREAM.
//
// Whoever may connect makes us serve and trace any process that it likes, so the socket's file has
// mode 0600, and a peer must be root or the user that we run as.
//
// Ownership: owns the socket, and the file of one that it made, which goes with it; SocketFile.
// Thread rule: one thread; made before there are others, since the umask is the whole process's.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/socket_file.h"

namespace shmvisor {

class ListeningSocket {
 public:
  /// One sentence for the operator.
  struct Trouble {
    std::string text;
  };

  /// Makes it at `path`, where a socket that nobody serves any more is replaced.
  static std::variant<ListeningSocket, Trouble> make(const std::string& path);
  /// Takes one that somebody else made and bound.
  static std::variant<ListeningSocket, Trouble> take(UniqueFd socket);

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The next connection, non-blocking. EAGAIN where there is none; EPERM where the peer may not,
  /// and was sent away; EMFILE and the like of accept(2).
  [[nodiscard]] Result<UniqueFd> accept() const;

 private:
  ListeningSocket(UniqueFd fd, SocketFile file) : fd_(std::move(fd)), file_(std::move(file)) {}

  UniqueFd fd_;
  SocketFile file_;  ///< none where somebody else bound it
};

}  // namespace shmvisor
