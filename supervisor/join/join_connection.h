// JoinConnection: the joining side: finds a server, and hands the command's listener to it.
//
// The server gets the power to answer the command's calls, so it must be root's or of this
// process's own user: whoever else put a socket there is refused. It has ten seconds for each step.
//
// Errors come as a sentence for the user. Ownership: the connection; what is handed over is the
// server's, too. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "policy/base/unique_fd.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class JoinConnection {
 public:
  static std::variant<JoinConnection, std::string> to(const std::string& path);

  /// Whether the server lives in our pid namespace: the files in /proc can be served only then.
  [[nodiscard]] bool same_pid_namespace() const { return same_pid_namespace_; }
  /// `files`: the FUSE connection, invalid for none. Why not, where the server refuses.
  ///
  /// While the command was prepared, the server may have sent us away to make room for others who
  /// want to join (JoinedCommands). So a connection that has ended is made anew.
  std::optional<std::string> hand_over(pid_t command, const UniqueFd& listener, WaitKind wait_kind,
                                       const UniqueFd& files);

  /// Readable when the server has something to say, or has ended.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether it took its leave, having served the last process. Precondition: fd() is readable.
  [[nodiscard]] bool hear_farewell() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  JoinConnection(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  /// Why not, otherwise.
  std::optional<std::string> connect_again();

  UniqueFd fd_;
  std::string path_;
  bool same_pid_namespace_ = false;
};

}  // namespace shmvisor
