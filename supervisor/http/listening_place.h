// ListeningPlace: where an HttpServer listens: a TCP port of an address, or a Unix socket.
//
// Names of hosts are not looked up: a static program must not load the modules of the name service.
//
// Errors: a sentence for the operator. Ownership: owns the socket, and the file of a Unix socket,
// which has mode 0600. Thread rule: one thread.
#pragma once

#include <optional>
#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/socket_file.h"

namespace shmvisor {

class ListeningPlace {
 public:
  struct Trouble {
    std::string text;
  };

  /// Why `place` is none; empty where it is one.
  [[nodiscard]] static std::string check(const std::string& place);

  /// `place`: "127.0.0.1:9477", "[::1]:9477", "localhost:9477"; a port alone, on loopback; with a
  /// slash, the path of a Unix socket. Port 0: any that is free.
  static Result<ListeningPlace, Trouble> listen_at(const std::string& place);

  [[nodiscard]] const UniqueFd& socket() const { return socket_; }
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// "http://127.0.0.1:9477", or "unix:PATH".
  [[nodiscard]] const std::string& url() const { return url_; }
  /// Whether other machines may reach it.
  [[nodiscard]] bool is_open_to_others() const { return is_open_to_others_; }

 private:
  ListeningPlace(UniqueFd socket, SocketFile file, std::string url, bool is_open_to_others)
      : socket_(std::move(socket)),
        file_(std::move(file)),
        url_(std::move(url)),
        is_open_to_others_(is_open_to_others) {}

  static Result<ListeningPlace, Trouble> at_path(const std::string& path);

  UniqueFd socket_;
  SocketFile file_;
  std::string url_;
  bool is_open_to_others_;
};

}  // namespace shmvisor
