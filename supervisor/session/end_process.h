// end_process_at_once: the end of a process whose sessions are given up: a thread is kept by a
// process that we do not control, and uses what would be destroyed by returning.
//
// This is the only place where that is done: no destructor runs, of a session or of anything
// static, and lines that are queued for the log are written as far as somebody takes them.
//
// Thread rule: the main thread.
#pragma once

#include <unistd.h>

#include "supervisor/log/process_log.h"

namespace shmvisor {

[[noreturn]] inline void end_process_at_once(int status) {
  flush_process_log();
  ::_exit(status);
}

}  // namespace shmvisor
