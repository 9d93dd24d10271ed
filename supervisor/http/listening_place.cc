#include "supervisor/http/listening_place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "supervisor/kernel/plain_receive.h"

namespace shmvisor {
namespace {

constexpr int kBacklog = 64;
constexpr mode_t kOwnerOnly = 0600;

/// An address of IPv4 or IPv6.
struct Address {
  sockaddr_storage storage{};
  socklen_t size_bytes = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

template <typename Kind>
Address as_address(const Kind& kind) {
  Address address;
  std::memcpy(&address.storage, &kind, sizeof(kind));
  address.size_bytes = sizeof(kind);
  return address;
}

std::optional<std::uint16_t> port_of(const std::string& text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return port;
}

std::optional<Address> address_of(const std::string& place) {
  const std::size_t colon = place.rfind(':');
  const auto port = port_of(colon == std::string::npos ? place : place.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string host = colon == std::string::npos ? "" : place.substr(0, colon);
  if (host.empty() || host == "localhost") host = "127.0.0.1";
  if (host.front() == '[' && host.back() == ']') {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(*port);
    const std::string inside = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, inside.c_str(), &address.sin6_addr) != 1) return std::nullopt;
    return as_address(address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
  return as_address(address);
}

std::string url_of(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 kind{};
    std::memcpy(&kind, &address.storage, sizeof(kind));
    ::inet_ntop(AF_INET6, &kind.sin6_addr, text.data(), text.size());
    return "http://[" + std::string(text.data()) + "]:" + std::to_string(ntohs(kind.sin6_port));
  }
  sockaddr_in kind{};
  std::memcpy(&kind, &address.storage, sizeof(kind));
  ::inet_ntop(AF_INET, &kind.sin_addr, text.data(), text.size());
  return "http://" + std::string(text.data()) + ":" + std::to_string(ntohs(kind.sin_port));
}

bool is_loopback(const Address& address) {
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 kind{};
    std::memcpy(&kind, &address.storage, sizeof(kind));
    return IN6_IS_ADDR_LOOPBACK(&kind.sin6_addr);
  }
  constexpr unsigned kLoopbackNet = 127;
  sockaddr_in kind{};
  std::memcpy(&kind, &address.storage, sizeof(kind));
  return ntohl(kind.sin_addr.s_addr) >> 24 == kLoopbackNet;
}

ListeningPlace::Trouble trouble(const std::string& place, int error) {
  const std::string next = error == EADDRINUSE ? "; listen elsewhere: --listen" : "";
  return {"cannot listen at " + place + ": " + std::strerror(error) + next};
}

}  // namespace

Result<ListeningPlace, ListeningPlace::Trouble> ListeningPlace::at_path(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The file gets the mode of the socket's own inode: unix_bind_bsd() of net/unix/af_unix.c.
  if (!socket.valid() || ::fchmod(socket.get(), kOwnerOnly) != 0) return trouble(path, errno);
  refuse_files(socket);
  auto file = SocketFile::listen_at(path, socket, kBacklog);
  if (!file && file.error().value() == EEXIST) return Trouble{path + " is there and is no socket"};
  if (!file) return trouble(path, file.error().value());
  return ListeningPlace(std::move(socket), std::move(*file), "unix:" + path, false);
}

std::string ListeningPlace::check(const std::string& place) {
  if (place.empty()) return "the place is empty";
  if (place.find('/') != std::string::npos || address_of(place)) return {};
  if (place.find_first_not_of("0123456789") == std::string::npos) {
    return "'" + place + "' is no port up to 65535";
  }
  return "'" + place +
         "' is neither ADDRESS:PORT, as 127.0.0.1:9477 or [::1]:9477, nor a port, nor a path with "
         "a slash";
}

Result<ListeningPlace, ListeningPlace::Trouble> ListeningPlace::listen_at(
    const std::string& place) {
  if (place.find('/') != std::string::npos) return at_path(place);
  auto address = address_of(place);
  if (!address) return Trouble{check(place)};
  const int family = address->storage.ss_family;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!socket.valid() ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(socket.get(), address->get(), address->size_bytes) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 ||
      ::getsockname(socket.get(), address->get(), &address->size_bytes) != 0) {
    return trouble(place, errno);
  }
  return ListeningPlace(std::move(socket), SocketFile(), url_of(*address), !is_loopback(*address));
}

}  // namespace shmvisor
