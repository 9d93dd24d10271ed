#include "supervisor/log/limited_log.h"

namespace shmvisor {

LogLimiter& process_log_limiter() {
  static LogLimiter limiter;
  return limiter;
}

void tell_of_lines_left_out() {
  const std::uint64_t untold = process_log_limiter().take_untold();
  if (untold == 0) return;
  spdlog::info("{} more lines were left out: one user may cause only so many", untold);
}

}  // namespace shmvisor
