// The log of this process: on standard error, without ever waiting for whoever reads that.
//
// Thread rule: set_up_process_log() once, while there is one thread; the others from any thread.
#pragma once

#include <spdlog/common.h>

#include <chrono>

namespace shmvisor {

/// Lines below `level` are not made. Where an exception that nobody catches ends the process, the
/// log says so.
void set_up_process_log(spdlog::level::level_enum level);

/// For the lines that are queued when the process ends, at most.
inline constexpr std::chrono::milliseconds kLastLinesBound{1000};

/// LogWriter::flush(): before the process ends, or lets somebody go on whose own lines are to come
/// later.
void flush_process_log(std::chrono::milliseconds bound = kLastLinesBound) noexcept;

}  // namespace shmvisor
