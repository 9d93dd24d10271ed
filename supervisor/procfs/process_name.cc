#include "supervisor/procfs/process_name.h"

#include <algorithm>

#include "supervisor/procfs/proc_file.h"

namespace shmvisor {

std::string process_name(pid_t pid) {
  const auto read = read_proc_file(pid, "comm");
  if (!read) return "unknown";
  std::string name = read->substr(0, read->find('\n'));
  std::replace_if(
      name.begin(), name.end(), [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return name;
}

}  // namespace shmvisor
