#include "supervisor/procfs/task_status.h"

#include <fcntl.h>

#include <charconv>
#include <string>
#include <string_view>

#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// The numbers after a field's name; as many as there are.
std::vector<std::uint64_t> numbers(std::string_view line, int base = 10) {
  std::vector<std::uint64_t> found;
  const char* at = line.data();
  const char* const end = line.data() + line.size();
  while (at < end) {
    std::uint64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value, base);
    if (error == std::errc()) found.push_back(value);
    at = next == at ? at + 1 : next;
  }
  return found;
}

/// The rest of the line that begins with `field`, or nothing.
std::string_view line_of(std::string_view text, std::string_view field) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.starts_with(field)) return line.substr(field.size());
    begin = end + 1;
  }
  return {};
}

template <typename Id>
Id nth(const std::vector<std::uint64_t>& values, std::size_t place) {
  return place < values.size() ? static_cast<Id>(values[place]) : static_cast<Id>(-1);
}

}  // namespace

Result<TaskStatus> TaskStatus::read(pid_t tid) {
  const auto text = read_proc_file(tid, "status");
  if (!text) return text.error();
  TaskStatus status;
  const std::string_view state = line_of(*text, "State:\t");
  if (!state.empty()) status.state = state.front();
  status.tgid = nth<pid_t>(numbers(line_of(*text, "Tgid:")), 0);
  status.ppid = nth<pid_t>(numbers(line_of(*text, "PPid:")), 0);
  status.tracer_pid = nth<pid_t>(numbers(line_of(*text, "TracerPid:")), 0);
  const auto uids = numbers(line_of(*text, "Uid:"));  // real, effective, saved, filesystem
  status.uid = nth<uid_t>(uids, 0);
  status.euid = nth<uid_t>(uids, 1);
  const auto gids = numbers(line_of(*text, "Gid:"));
  status.egid = nth<gid_t>(gids, 1);
  status.fsgid = nth<gid_t>(gids, 3);
  for (const std::uint64_t group : numbers(line_of(*text, "Groups:"))) {
    status.groups.push_back(static_cast<gid_t>(group));
  }
  const auto capabilities = numbers(line_of(*text, "CapEff:"), 16);
  status.effective_capabilities = capabilities.empty() ? 0 : capabilities.front();
  const auto filters = numbers(line_of(*text, "Seccomp_filters:"));
  status.seccomp_filters = filters.empty() ? 0 : filters.front();
  const auto signals = [&text](std::string_view field) {
    const auto set = numbers(line_of(*text, field), 16);
    return set.empty() ? 0 : set.front();
  };
  status.pending_signals = signals("SigPnd:");
  status.blocked_signals = signals("SigBlk:");
  status.caught_signals = signals("SigCgt:");
  const auto table = numbers(line_of(*text, "FDSize:"));
  status.descriptor_table_size = table.empty() ? 0 : static_cast<int>(table.front());
  return status;
}

}  // namespace shmvisor
