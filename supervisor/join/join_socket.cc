#include "supervisor/join/join_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

namespace shmvisor {
namespace {

constexpr int kBacklog = 64;
constexpr std::chrono::milliseconds kBetweenTries(20);
constexpr int kMostTries = 50;

/// Of two servers that find the same stale file only one may replace it. Whoever holds the folder
/// for long is no server, and not waited for.
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

/// Whether the file is a socket that nobody listens at.
bool is_stale(const std::string& path, const SocketAddress& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  return is_deserted(address, SOCK_SEQPACKET);
}

std::string trouble(const std::string& path, int error) {
  if (error == EADDRINUSE) {
    return "'" + path +
           "' is there already, and no socket that a server left behind; give --serve "
           "a path of its own, or use --join with it if another shmvisor serves there";
  }
  return "cannot listen at '" + path + "': " + std::strerror(error);
}

}  // namespace

std::variant<JoinSocket, std::string> JoinSocket::listen_at(const std::string& path) {
  const auto address = SocketAddress::of(path);
  if (!address) return trouble(path, address.error().value());
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return trouble(path, errno);
  const UniqueFd lock = lock_folder(path);
  int bound = ::bind(fd.get(), address->get(), address->size_bytes());
  if (bound != 0 && errno == EADDRINUSE) {
    if (!is_stale(path, *address)) return trouble(path, EADDRINUSE);
    if (::unlink(path.c_str()) != 0) return trouble(path, errno);
    bound = ::bind(fd.get(), address->get(), address->size_bytes());
  }
  if (bound != 0 || ::listen(fd.get(), kBacklog) != 0) return trouble(path, errno);
  return JoinSocket(std::move(fd), path);
}

UniqueFd JoinSocket::accept() const {
  return UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void JoinSocket::remove() {
  file_.remove();
  fd_.reset();
}

}  // namespace shmvisor
