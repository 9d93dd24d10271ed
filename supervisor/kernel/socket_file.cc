#include "supervisor/kernel/socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "supervisor/kernel/socket_address.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kBetweenTries(20);
constexpr int kMostTries = 50;

/// Held while a file is replaced, and until it is listened at. Whoever holds the folder for long is
/// no server, and not waited for.
UniqueFd lock_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int tries = 0; fd.valid() && tries < kMostTries; ++tries) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) break;
    std::this_thread::sleep_for(kBetweenTries);
  }
  return fd;
}

/// Whether no process listens there any more: tries to connect, as clients of such a socket do.
bool is_deserted(const SocketAddress& address, const UniqueFd& socket) {
  int type = SOCK_STREAM;
  socklen_t size = sizeof(type);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size);
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(probe.get(), address.get(), SocketAddress::size_bytes()) != 0 &&
         errno == ECONNREFUSED;
}

/// Removes the file that is in the way, where it is stale.
Result<void> clear_place(const std::string& path, const SocketAddress& address,
                         const UniqueFd& socket) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? Result<void>() : Errno::current();  // its server removed it just now
  }
  if (!S_ISSOCK(status.st_mode)) return Errno(EEXIST);
  if (!is_deserted(address, socket)) return Errno(EADDRINUSE);
  if (::unlink(path.c_str()) != 0) return Errno::current();
  return {};
}

}  // namespace

Result<SocketFile> SocketFile::listen_at(const std::string& path, const UniqueFd& socket,
                                         int backlog) {
  const auto address = SocketAddress::of(path);
  if (!address) return address.error();
  const auto bind = [&] {
    return ::bind(socket.get(), address->get(), SocketAddress::size_bytes()) == 0;
  };
  const UniqueFd lock = lock_folder(path);
  if (!bind()) {
    if (errno != EADDRINUSE) return Errno::current();
    if (const auto cleared = clear_place(path, *address, socket); !cleared) return cleared.error();
    if (!bind()) return Errno::current();
  }
  SocketFile file(path);
  if (::listen(socket.get(), backlog) != 0) return Errno::current();
  return file;
}

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

}  // namespace shmvisor
