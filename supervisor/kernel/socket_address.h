// SocketAddress: the address of a Unix socket in the file system, unix(7).
//
// Thread rule: a plain value.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <string>

#include "policy/base/result.h"

namespace shmvisor {

class SocketAddress {
 public:
  /// ENAMETOOLONG beyond 107 bytes; ENOENT for an empty path, which would mean no file.
  static Result<SocketAddress> of(const std::string& path) {
    SocketAddress address;
    if (path.empty()) return Errno(ENOENT);
    if (path.size() >= sizeof(address.address_.sun_path)) return Errno(ENAMETOOLONG);
    std::copy(path.begin(), path.end(), &address.address_.sun_path[0]);
    return address;
  }

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  [[nodiscard]] static socklen_t size_bytes() { return sizeof(sockaddr_un); }

 private:
  sockaddr_un address_{AF_UNIX, {}};
};

}  // namespace shmvisor
