#include "supervisor/procfs/proc_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "policy/base/held_locks.h"

namespace shmvisor {

namespace {

/// Files that the kernel makes of what it knows of a process at any moment
/// (tests/stuck_process_test.cc). The others wait for the end of an execve(2) of it
/// (exec_update_lock) or an mmap(2), or are not known to wait for nobody.
bool waits_for_nobody(std::string_view name) {
  constexpr std::array<std::string_view, 5> kAtOnce = {"status", "limits", "uid_map", "gid_map",
                                                       "schedstat"};
  return std::ranges::find(kAtOnce, name) != kAtOnce.end();
}

}  // namespace

std::string proc_path(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

Result<UniqueFd> open_proc_file(pid_t pid, const char* name) {
  if (!waits_for_nobody(name)) HeldLocks::assert_may_wait();
  UniqueFd fd(::open(proc_path(pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT ? Errno(ESRCH) : Errno::current();
  return fd;
}

Result<std::string> read_proc_file(pid_t pid, const char* name) {
  const auto fd = open_proc_file(pid, name);
  if (!fd) return fd.error();
  return read_to_end(fd->get());
}

Result<std::string> read_to_end(int fd, std::size_t most_bytes) {
  std::string text;
  std::array<char, 16384> chunk;  // what /proc/PID/maps gives at a time
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Errno::current();
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > most_bytes) return Errno(EFBIG);
  }
}

Result<std::vector<NumberedInode>> numbered_inodes(const std::string& path) {
  HeldLocks::assert_may_wait();
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
  if (folder == nullptr) return Errno::current();
  std::vector<NumberedInode> numbers;
  while (const dirent* entry = ::readdir(folder.get())) {
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    int number = 0;
    const auto [rest, error] = std::from_chars(entry->d_name, end, number);
    if (error == std::errc() && rest == end) numbers.push_back({number, entry->d_ino});
  }
  return numbers;
}

Result<std::vector<int>> numbered_entries(const std::string& path) {
  const auto entries = numbered_inodes(path);
  if (!entries) return entries.error();
  std::vector<int> numbers;
  numbers.reserve(entries->size());
  for (const NumberedInode& entry : *entries) numbers.push_back(entry.number);
  return numbers;
}

}  // namespace shmvisor
