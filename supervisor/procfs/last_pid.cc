#include "supervisor/procfs/last_pid.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

namespace shmvisor {

LastPid::LastPid() {
  const UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc.valid()) return;
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  loadavg_ =
      UniqueFd(static_cast<int>(::syscall(SYS_openat2, proc.get(), "loadavg", &how, sizeof(how))));
}

/// The fifth word: loadavg_proc_show() of fs/proc/loadavg.c.
std::optional<pid_t> LastPid::read() const {
  if (!loadavg_.valid()) return std::nullopt;
  std::array<char, 128> text{};
  const ssize_t length = ::pread(loadavg_.get(), text.data(), text.size(), 0);
  if (length <= 0) return std::nullopt;
  const std::string_view line(text.data(), static_cast<std::size_t>(length));
  const std::size_t space = line.rfind(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view word = line.substr(space + 1);
  pid_t pid = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
  return error == std::errc() && pid > 0 ? std::optional(pid) : std::nullopt;
}

}  // namespace shmvisor
