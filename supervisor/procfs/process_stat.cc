#include "supervisor/procfs/process_stat.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "supervisor/procfs/proc_file.h"

namespace shmvisor {

/// The name in parentheses may hold anything, so fields are counted behind the last ')'.
Result<ProcessStat> ProcessStat::read(pid_t pid) {
  const auto text = read_proc_file(pid, "stat");
  if (!text) return text.error();
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return Errno(ESRCH);
  ProcessStat stat;
  std::size_t begin = name_end + 2;
  for (int field = 3; begin < text->size(); ++field) {
    const std::size_t end = std::min(text->find(' ', begin), text->size());
    const std::string_view value = std::string_view(*text).substr(begin, end - begin);
    const auto take = [&value](auto& number) {
      std::from_chars(value.data(), value.data() + value.size(), number);
    };
    if (field == 3) stat.state = value.empty() ? '?' : value.front();
    if (field == 4) take(stat.ppid);
    if (field == 22) take(stat.started_ticks);
    // vsize, rss; startcode to startstack; start_data to env_end
    if (field == 23 || field == 24 || (field >= 26 && field <= 28) ||
        (field >= 45 && field <= 51)) {
      stat.memory.append(value).push_back(' ');
    }
    begin = end + 1;
  }
  return stat;
}

}  // namespace shmvisor
