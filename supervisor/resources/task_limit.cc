#include "supervisor/resources/task_limit.h"

#include <charconv>

#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// A number or "unlimited"; takes it off the front.
std::uint64_t take_value(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  std::uint64_t value = TaskLimit::kUnlimited;
  std::from_chars(line.data(), line.data() + line.size(), value);
  line.remove_prefix(std::min(line.find(' '), line.size()));
  return value;
}

}  // namespace

Result<TaskLimit> TaskLimit::read(pid_t pid, std::string_view name) {
  const auto text = read_proc_file(pid, "limits");
  if (!text) return text.error();
  const std::size_t begin = text->find(name);
  if (begin == std::string::npos) return Errno(EINVAL);
  std::string_view line(*text);
  line = line.substr(begin + name.size());
  line = line.substr(0, line.find('\n'));
  TaskLimit limit;
  limit.soft = take_value(line);
  limit.hard = take_value(line);
  return limit;
}

}  // namespace shmvisor
