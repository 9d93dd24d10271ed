#include "supervisor/log/process_log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

#include "policy/base/control_characters.h"
#include "supervisor/log/log_writer.h"

namespace shmvisor {
namespace {

/// Never destroyed: threads that nobody waits for may log until the very end.
LogWriter& writer() {
  static LogWriter* const made = new LogWriter(STDERR_FILENO);  // NOLINT
  return *made;
}

class QueueingSink : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // A terminal may read it, and what others have chosen, as paths and arguments, be in it: each
    // message is one line, without control characters.
    if (line.size() > 1) hide_controls(line.data(), line.size() - 1);
    writer().add({line.data(), line.size()});
  }
  /// flush_process_log() does it, without the sink's lock.
  void flush_() override {}
};

[[noreturn]] void end_by_exception() noexcept {
  std::array<char, 512> line{};
  const char* reason = "unknown";
  try {
    if (const auto current = std::current_exception()) std::rethrow_exception(current);
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {  // not one of ours
  }
  std::snprintf(line.data(), line.size(),
                "shmvisor[%d]: critical: ended by an exception that nobody caught: %.300s\n",
                ::getpid(), reason);
  writer().add(line.data());
  writer().flush(kLastLinesBound);
  std::abort();
}

}  // namespace

void set_up_process_log(spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("shmvisor", std::make_shared<QueueingSink>());
  // Not destroyed at exit either.
  static const auto* const kept = new std::shared_ptr<spdlog::logger>(logger);  // NOLINT
  (void)kept;
  logger->set_pattern("shmvisor[%P]: %l: %v");
  // spdlog's own would write to standard error.
  logger->set_error_handler([](const std::string& /*reason*/) { writer().lose_one(); });
  spdlog::set_default_logger(logger);
  spdlog::set_level(level);
  // Not with the first line: a thread that has borrowed an identity, or is kept on one CPU, would
  // hand that on to the one that writes.
  (void)writer();
  std::set_terminate(end_by_exception);
}

void let_process_log_have_thread(bool has) noexcept { writer().use_thread(has); }

void flush_process_log(std::chrono::milliseconds bound) noexcept { writer().flush(bound); }

}  // namespace shmvisor
