// end_process_at_once: ends this process without destroying its sessions. To be called when another
// process keeps one of our threads, and that thread uses what a return from main() would destroy.
//
// No other place ends the process like this. No destructor runs, not even a static one. Queued log
// lines are written as far as their reader takes them.
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
