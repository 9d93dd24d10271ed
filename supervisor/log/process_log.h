// The log of this process: on standard error, without ever waiting for the reader of that.
//
// Thread rule: set_up_process_log() once, while there is one thread; the others from any thread.
#pragma once

#include <spdlog/common.h>

#include <chrono>

namespace shmvisor {

/// Lines below `level` are not logged. An uncaught exception that ends the process is logged.
void set_up_process_log(spdlog::level::level_enum level);

/// LogWriter::use_thread(): a process that will be cloned (clone_server()) has no thread; its
/// clones may. While there is one thread.
void let_process_log_have_thread(bool has) noexcept;

/// How long the end of the process waits for queued lines to be written.
inline constexpr std::chrono::milliseconds kLastLinesBound{1000};

/// LogWriter::flush(): before the process ends, or before it lets another process go on whose own
/// lines are to come later.
void flush_process_log(std::chrono::milliseconds bound = kLastLinesBound) noexcept;

}  // namespace shmvisor
