#include "supervisor/audit/audit_place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "supervisor/audit/audit_file.h"
#include "supervisor/audit/audit_socket.h"
#include "supervisor/audit/audit_stream.h"

namespace shmvisor {
namespace {

using Output = Result<std::unique_ptr<AuditOutput>, std::string>;

/// The path of its socket, where the place is that daemon's.
std::optional<std::string> socket_of(const std::string& place, std::string_view daemon,
                                     const char* usual) {
  if (place == daemon) return usual;
  if (place.size() <= daemon.size() || !place.starts_with(daemon)) return std::nullopt;
  if (place[daemon.size()] != ':') return std::nullopt;
  return place.substr(daemon.size() + 1);
}

std::string why(Errno error) { return std::strerror(error.value()); }
std::string why(const std::string& sentence) { return sentence; }

template <typename Opened>
Output output_of(Opened opened, const std::string& what, const std::string& path) {
  if (opened) return std::unique_ptr<AuditOutput>(std::move(*opened));
  return fmt::format("--audit: cannot {} {}: {}", what, path, why(opened.error()));
}

}  // namespace

std::string check_audit_place(const std::string& place) {
  if (place.empty()) return "the place is empty";
  if (place == "stderr" || place.find('/') != std::string::npos) return {};
  if (place == "syslog" || place == "journald") return {};
  return "'" + place + "' is neither stderr, syslog, journald nor a path with a '/'";
}

bool is_audit_file(const std::string& place) {
  return place != "stderr" && !socket_of(place, "syslog", "") && !socket_of(place, "journald", "");
}

Output open_audit_output(const AuditOptions& options, const AuditSource& source) {
  using Daemon = AuditSocket::Daemon;
  const std::string& place = options.place;
  if (place == "stderr") {
    return std::unique_ptr<AuditOutput>(
        std::make_unique<AuditStream>(STDERR_FILENO, options.form, source));
  }
  if (const auto path = socket_of(place, "syslog", AuditSocket::kSyslog)) {
    return output_of(AuditSocket::connect(Daemon::kSyslog, *path, options.form, source),
                     "reach syslog at", *path);
  }
  if (const auto path = socket_of(place, "journald", AuditSocket::kJournald)) {
    return output_of(AuditSocket::connect(Daemon::kJournald, *path, options.form, source),
                     "reach journald at", *path);
  }
  return output_of(AuditFile::open({place, options.most_bytes, options.kept}, options.form, source),
                   "write to", place);
}

}  // namespace shmvisor
