// What /proc says of a task of the run.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <string>

namespace shmvisor {

/// The beginning, 4 KiB, of /proc/TID/NAME; empty where there is nothing to read.
[[nodiscard]] std::string proc_text(pid_t thread, const char* name);

/// The value behind "NAME:" in /proc/TID/status, without spaces; "none" where it is not there.
[[nodiscard]] std::string status_field(const std::string& status, const char* name);

}  // namespace shmvisor
