#include "supervisor/audit/audit_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <syslog.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/socket_address.h"

namespace shmvisor {
namespace {

/// "Dec  1 01:09:41", whatever the locale.
std::string local_time(AuditRecord::Clock::time_point time) {
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = AuditRecord::Clock::to_time_t(time);
  tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{} {:2} {:02}:{:02}:{:02}", kMonths.at(static_cast<unsigned>(local.tm_mon)),
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec);
}

}  // namespace

Result<std::unique_ptr<AuditSocket>> AuditSocket::connect(Daemon daemon, std::string path,
                                                          AuditForm form, AuditSource source) {
  std::unique_ptr<AuditSocket> made(
      new AuditSocket(daemon, std::move(path), form, std::move(source)));
  if (const auto connected = made->connect_again(); !connected) return connected.error();
  return made;
}

Result<void> AuditSocket::connect_again() {
  const auto address = SocketAddress::of(path_);
  if (!address) return address.error();
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return Errno::current();
  if (::connect(socket.get(), address->get(), SocketAddress::size_bytes()) != 0) {
    return Errno::current();
  }
  socket_ = std::move(socket);
  return {};
}

std::string AuditSocket::datagram_of(const AuditRecord& record) const {
  const std::string message =
      form_ == AuditForm::kJson ? audit_json(record, source_) : audit_text(record);
  if (daemon_ == Daemon::kJournald) return audit_fields(record, source_, message);
  return fmt::format("<{}>{} shmvisor[{}]: {}", LOG_AUTHPRIV | LOG_NOTICE,
                     local_time(record.time()), source_.pid, message);
}

Result<void, std::string> AuditSocket::write(const AuditRecord& record) {
  const std::string datagram = datagram_of(record);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (bool connected_again = false;;) {
    if (::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      pollfd waiting{socket_.get(), POLLOUT, 0};
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left.count() <= 0 || poll_files({&waiting, 1}, left) <= 0) {
        return path_ + " takes nothing for too long";
      }
      continue;
    }
    Errno why = Errno::current();
    if (!std::exchange(connected_again, true)) {
      const auto connected = connect_again();
      if (connected) continue;
      why = connected.error();
    }
    return path_ + ": " + std::strerror(why.value());
  }
}

}  // namespace shmvisor
