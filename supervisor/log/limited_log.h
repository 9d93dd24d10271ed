// Log lines that callers can cause, within the allowance of the LogLimiter of this process.
//
// Thread rule: any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <utility>

#include "supervisor/log/log_limiter.h"

namespace shmvisor {

/// Of this process, as the logger is.
LogLimiter& process_log_limiter();

/// `user`: who caused the line, LogLimiter::kNobody where that is not known.
template <typename... Values>
void log_limited(spdlog::level::level_enum level, LogTopic topic, uid_t user,
                 spdlog::format_string_t<Values...> format, Values&&... values) {
  if (!spdlog::should_log(level)) return;
  const LogLimiter::Verdict verdict = process_log_limiter().ask(topic, user);
  if (!verdict.may_log) return;
  if (verdict.left_out != 0) {
    spdlog::log(level, "{} lines like the next one were left out", verdict.left_out);
  }
  spdlog::log(level, format, std::forward<Values>(values)...);
}

/// Logs how many lines were left out and not reported yet. Called once, at the end.
void tell_of_lines_left_out();

}  // namespace shmvisor
