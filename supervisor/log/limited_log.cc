#include "supervisor/log/limited_log.h"

#include <new>

namespace shmvisor {

namespace {

LogLimiter& process_log_limiter() {
  static LogLimiter limiter;
  return limiter;
}

}  // namespace

LogLimiter::Verdict ask_process_log_limiter(LogTopic topic, uid_t user) noexcept {
  try {
    return process_log_limiter().ask(topic, user);
  } catch (const std::bad_alloc&) {
    return {};
  }
}

void tell_of_lines_left_out() {
  const std::uint64_t untold = process_log_limiter().take_untold();
  if (untold == 0) return;
  spdlog::info("{} more lines were left out: one user may cause only so many", untold);
}

}  // namespace shmvisor
