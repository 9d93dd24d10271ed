// Log lines that callers can cause, within the allowance of the LogLimiter of this process.
//
// Thread rule: any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <utility>

#include "supervisor/log/log_limiter.h"

namespace shmvisor {

/// Of this process, as the logger is. No line is allowed where there is no memory to count it.
LogLimiter::Verdict ask_process_log_limiter(LogTopic topic, uid_t user) noexcept;

/// `user`: who caused the line, LogLimiter::kNobody where that is not known. Throws nothing, so
/// that it may tell of exceptions.
template <typename... Values>
void log_limited(spdlog::level::level_enum level, LogTopic topic, uid_t user,
                 spdlog::format_string_t<Values...> format, Values&&... values) noexcept {
  if (!spdlog::should_log(level)) return;
  const LogLimiter::Verdict verdict = ask_process_log_limiter(topic, user);
  if (!verdict.may_log) return;
  if (verdict.left_out != 0) {
    spdlog::log(level, "{} lines like the next one were left out", verdict.left_out);
  }
  spdlog::log(level, format, std::forward<Values>(values)...);
}

/// Logs how many lines were left out and not reported yet. Called once, at the end.
void tell_of_lines_left_out();

}  // namespace shmvisor
