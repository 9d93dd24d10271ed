#include "supervisor/procfs/switch_count.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "supervisor/procfs/proc_file.h"

namespace shmvisor {

std::optional<SwitchCount> SwitchCount::open(pid_t pid) {
  auto file = open_proc_file(pid, "schedstat");
  if (!file) return std::nullopt;
  SwitchCount count(std::move(*file));
  if (!count.read()) return std::nullopt;
  return count;
}

std::optional<std::uint64_t> SwitchCount::read() const {
  std::array<char, 96> text{};
  const ssize_t length = ::pread(schedstat_.get(), text.data(), text.size(), 0);
  if (length <= 0) return std::nullopt;
  std::string_view line(text.data(), static_cast<std::size_t>(length));
  const std::size_t space = line.rfind(' ');
  if (space == std::string_view::npos) return std::nullopt;
  line.remove_prefix(space + 1);
  std::uint64_t count = 0;
  const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), count);
  // 0 where the kernel counts nothing: a process that can be seen has run.
  return error == std::errc() && count != 0 ? std::optional(count) : std::nullopt;
}

bool was_off_cpu(pid_t pid) {
  const auto text = read_proc_file(pid, "syscall");
  return text && !text->empty() &&
         (text->front() == '-' || (text->front() >= '0' && text->front() <= '9'));
}

bool has_one_thread(pid_t pid) {
  // Its own folder, its parent, and one for each thread.
  constexpr nlink_t kLinksOfOne = 3;
  struct stat status {};
  return ::stat(proc_path(pid, "task").c_str(), &status) == 0 && status.st_nlink == kLinksOfOne;
}

}  // namespace shmvisor
