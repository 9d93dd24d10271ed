// ListeningSocket: where container runtimes connect, unix(7), SOCK_STREAM.
//
// Whoever may connect makes us serve and trace any process that it likes, so the socket's file has
// mode 0600, and a peer must be root or the user that we run as.
//
// Ownership: owns the socket, and the file of one that it made, which goes with it; not one that
// somebody else has made in its place. Thread rule: one thread; made before there are others, since
// the umask is the whole process's.
#pragma once

#include <sys/types.h>

#include <string>
#include <variant>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

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

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  ~ListeningSocket();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The next connection, non-blocking. EAGAIN where there is none; EPERM where the peer may not,
  /// and was sent away; EMFILE and the like of accept(2).
  [[nodiscard]] Result<UniqueFd> accept() const;

 private:
  ListeningSocket(UniqueFd fd, std::string path);

  UniqueFd fd_;
  std::string path_;  ///< empty where the file is none of ours
  dev_t device_ = 0;  ///< of the file
  ino_t inode_ = 0;
};

}  // namespace shmvisor
