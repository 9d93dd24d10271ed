// ControlSocket: where an operator's clients connect, unix(7), SOCK_STREAM.
//
// A client may see and change every segment. So the socket's file has mode 0600 from the moment
// that it is there, and a peer must be root or our own user (peer_user.h).
//
// Ownership: owns the socket and its file (SocketFile). Thread rule: one thread.
#pragma once

#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/control/control_place.h"
#include "supervisor/kernel/socket_file.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

class ControlSocket {
 public:
  /// A socket file without a listener is replaced; no other file is touched.
  static Result<ControlSocket, control::Trouble> listen_at(const std::string& path);

  /// One that another program of this process listens at.
  static ControlSocket take(UniqueFd fd, SocketFile file) {
    return {std::move(fd), std::move(file)};
  }
  [[nodiscard]] const SocketFile& file() const { return file_; }

  /// Readable when a client wants to connect.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The next connection, as accept_connection() has it. Who is there is for the caller to look at.
  [[nodiscard]] Result<StrangersFile> accept() const;
  /// Removes the file: no client can connect any more.
  void remove();

 private:
  ControlSocket(UniqueFd fd, SocketFile file) : fd_(std::move(fd)), file_(std::move(file)) {}

  UniqueFd fd_;
  SocketFile file_;  // destroyed before the socket, so that no file is left without a listener
};

}  // namespace shmvisor
