// ListeningSocket: where container runtimes connect, unix(7), SOCK_STREAM.
//
// A process that may connect can make us serve and trace any process. So the socket's file has mode
// 0600, and a peer must be root or our own user.
//
// Ownership: owns the socket, and its file if it made that (SocketFile).
// Thread rule: one thread; made before there are others, since the umask is the whole process's.
#pragma once

#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/socket_file.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

class ListeningSocket {
 public:
  /// One sentence for the operator.
  struct Trouble {
    std::string text;
  };

  /// Makes a socket at `path`; a socket file without a listener is replaced.
  static Result<ListeningSocket, Trouble> make(const std::string& path);
  /// Takes a socket that another process made and bound.
  static Result<ListeningSocket, Trouble> take(UniqueFd socket);

  /// One that another program of this process listens at.
  static ListeningSocket take_over(UniqueFd fd, SocketFile file) {
    return {std::move(fd), std::move(file)};
  }
  [[nodiscard]] const SocketFile& file() const { return file_; }

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether the descriptor is a connection that was accepted here.
  [[nodiscard]] bool has_accepted(int fd) const;
  /// Removes the file that make() made: no process can connect any more.
  void remove() { file_.remove(); }
  /// The same, and whoever waits to be accepted finds the connection closed. Does nothing with a
  /// socket of another process's, which goes on listening.
  void end();
  /// The next connection, non-blocking; an invalid one where the peer was refused, and its
  /// connection closed. Errors: those of accept_connection().
  [[nodiscard]] Result<StrangersFile> accept() const;

 private:
  ListeningSocket(UniqueFd fd, SocketFile file)
      : fd_(std::move(fd)), address_(address_of(fd_.get())), file_(std::move(file)) {}

  /// Empty where it is no socket.
  static std::string address_of(int fd);

  UniqueFd fd_;
  std::string address_;  ///< as the kernel has it
  SocketFile file_;      ///< none where another process bound it
};

}  // namespace shmvisor
