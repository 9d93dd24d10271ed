// SocketFile: the file of a Unix socket that is listened at, unix(7).
//
// A file that a server left behind when it was killed is replaced; anything else is not touched. Of
// several servers that find such a file only one replaces it.
//
// Ownership: removes the file at its end, if it still is the one that was there at the beginning;
// somebody else may have made another in its place. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class SocketFile {
 public:
  /// No file.
  SocketFile() = default;
  /// Binds the socket to a file of that name, and listens. EADDRINUSE where somebody listens there
  /// already, EEXIST where something else is there; ENAMETOOLONG beyond 107 bytes, and the errors
  /// of bind(2), listen(2) and unlink(2).
  static Result<SocketFile> listen_at(const std::string& path, const UniqueFd& socket, int backlog);

  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, "")), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile() { remove(); }

  void remove();

 private:
  /// The file that was just bound.
  explicit SocketFile(std::string path);

  std::string path_;  ///< empty where there is none, or no more
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace shmvisor
