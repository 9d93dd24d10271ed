#include "supervisor/audit/audit_stream.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "supervisor/kernel/poll_files.h"

namespace shmvisor {

Result<void, std::string> AuditStream::write(const AuditRecord& record) {
  const std::string line = form_ == AuditForm::kJson ? audit_json(record, source_) + '\n'
                                                     : "shmvisor[" + std::to_string(source_.pid) +
                                                           "]: audit: " + audit_text(record) + '\n';
  for (std::string_view left = line; !left.empty();) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd waiting{fd_, POLLOUT, 0};
      if (poll_files({&waiting, 1}, std::nullopt) < 0) return std::string(std::strerror(errno));
    } else if (errno != EINTR) {
      return std::string(std::strerror(errno));
    }
  }
  return {};
}

}  // namespace shmvisor
