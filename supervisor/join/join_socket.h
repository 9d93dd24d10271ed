// JoinSocket: the socket in the file system at which `run --serve` can be found.
//
// The permissions of the file, which follow the umask, and of the folders above it decide who may
// connect, unix(7). A socket file without a listener, which a killed server left, is replaced; any
// other file at that path is not touched.
//
// Errors come as a sentence for the user. Ownership: the socket, and its file (SocketFile). Thread
// rule: one thread.
#pragma once

#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/socket_file.h"

namespace shmvisor {

class JoinSocket {
 public:
  static Result<JoinSocket, std::string> listen_at(const std::string& path);

  /// One that another program of this process listens at.
  static JoinSocket take(UniqueFd fd, SocketFile file) { return {std::move(fd), std::move(file)}; }
  [[nodiscard]] const SocketFile& file() const { return file_; }

  /// Readable when a process wants to connect.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// See accept_connection().
  [[nodiscard]] Result<UniqueFd> accept() const;
  /// Removes the file: no process can connect any more.
  void remove();

 private:
  JoinSocket(UniqueFd fd, SocketFile file) : fd_(std::move(fd)), file_(std::move(file)) {}

  UniqueFd fd_;
  SocketFile file_;  // destroyed before the socket, so that no file is left without a listener
};

}  // namespace shmvisor
