// Reading files of /proc/PID whole.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// "/proc/PID/NAME".
std::string proc_path(pid_t pid, const char* name);
/// ESRCH where the process is gone; otherwise the errors of open(2).
Result<UniqueFd> open_proc_file(pid_t pid, const char* name);
Result<std::string> read_proc_file(pid_t pid, const char* name);
/// The rest of an open file. Errors: those of read(2); EFBIG where it is longer than `most_bytes`.
Result<std::string> read_to_end(int fd, std::size_t most_bytes = SIZE_MAX);
/// The entries of a folder that are numbers: pids, tids, descriptors. Errors: those of opendir(3);
/// ENOENT where the process is gone.
Result<std::vector<int>> numbered_entries(const std::string& path);

struct NumberedInode {
  int number = 0;
  /// The inode number of /proc/PID is allotted with the inode, which lives at most as long as the
  /// process. So a later process with that pid has another number (proc_fill_cache() of
  /// fs/proc/base.c).
  std::uint64_t inode = 0;
};
Result<std::vector<NumberedInode>> numbered_inodes(const std::string& path);

}  // namespace shmvisor
