#include "supervisor/attaches/own_thread.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <string>
#include <string_view>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// MAKE_THREAD_CPUCLOCK() of include/linux/posix-timers.h.
std::chrono::nanoseconds cpu_time(pid_t tid) {
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6U);
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return std::chrono::nanoseconds(0);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool is_blocked(pid_t tid) {
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/stat";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text{};
  const ssize_t length = file.valid() ? ::read(file.get(), text.data(), text.size()) : -1;
  if (length <= 0) return true;
  const std::string_view line(text.data(), static_cast<std::size_t>(length));
  const std::size_t name_end = line.rfind(')');
  return name_end == std::string_view::npos || name_end + 2 >= line.size() ||
         line[name_end + 2] != 'R';
}

}  // namespace shmvisor
