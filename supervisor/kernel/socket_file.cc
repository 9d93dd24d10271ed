#include "supervisor/kernel/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "policy/base/unique_fd.h"

namespace shmvisor {

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

void SocketFile::remove() {
  const std::string path = std::exchange(path_, "");
  struct stat status {};
  if (path.empty() || ::lstat(path.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path.c_str());
}

bool is_deserted(const SocketAddress& address, int type) {
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(probe.get(), address.get(), SocketAddress::size_bytes()) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace shmvisor
