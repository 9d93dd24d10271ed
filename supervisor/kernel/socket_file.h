// SocketFile: the file of a Unix socket that was bound, unix(7).
//
// Ownership: removes the file at its end, if it still is the one that was there at the beginning;
// somebody else may have made another in its place. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "supervisor/kernel/socket_address.h"

namespace shmvisor {

class SocketFile {
 public:
  /// No file.
  SocketFile() = default;
  /// The file that was just bound.
  explicit SocketFile(std::string path);

  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, "")), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile() { remove(); }

  void remove();

 private:
  std::string path_;  ///< empty where there is none, or no more
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// Whether nobody listens at the socket there any more. `type`: SOCK_STREAM or another.
[[nodiscard]] bool is_deserted(const SocketAddress& address, int type);

}  // namespace shmvisor
