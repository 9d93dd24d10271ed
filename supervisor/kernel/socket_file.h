// SocketFile: the file of a listening Unix socket, unix(7).
//
// A socket file without a listener, which a killed server left, is replaced; any other file is not
// touched. Of several servers that find such a file only one replaces it.
//
// Ownership: the destructor removes the file, unless another process has put another file in its
// place. Thread rule: one thread.
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
  /// Binds the socket to a file of that name, and listens. EADDRINUSE where another process listens
  /// there, EEXIST where the path is no socket; ENAMETOOLONG beyond 107 bytes, and the errors of
  /// bind(2), listen(2) and unlink(2).
  static Result<SocketFile> listen_at(const std::string& path, const UniqueFd& socket, int backlog);

  struct Place {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
  };
  /// Of a file that another program of this process has bound.
  explicit SocketFile(Place place)
      : path_(std::move(place.path)), device_(place.device), inode_(place.inode) {}
  [[nodiscard]] Place place() const { return {path_, device_, inode_}; }

  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, "")), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile() { remove(); }

  void remove();
  [[nodiscard]] bool exists() const { return !path_.empty(); }

 private:
  /// The file that was just bound.
  explicit SocketFile(std::string path);

  std::string path_;  ///< empty where there is none, or no more
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace shmvisor
